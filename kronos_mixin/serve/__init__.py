"""Draws a mixin's dashboards in a browser, over any Prometheus, and again whenever the mixin changes."""
