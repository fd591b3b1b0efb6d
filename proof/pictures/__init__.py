"""Dashboards drawn by Grafana's own front end in a real browser."""
