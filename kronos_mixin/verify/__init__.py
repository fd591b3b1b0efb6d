"""Holds a mixin against a running Prometheus."""
