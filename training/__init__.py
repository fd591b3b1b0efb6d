"""Trains the demo checkpoint that the service comes with, on made-up candles. The service does not import it."""
