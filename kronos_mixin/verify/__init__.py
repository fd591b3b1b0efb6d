"""Checks a mixin against a running Prometheus."""
