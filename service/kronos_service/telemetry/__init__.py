"""Metrics, logs and traces: of each request, and of the process."""
