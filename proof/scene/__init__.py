"""Fills a Prometheus with data: a made-up day, back-filled, or a minute of the real service."""
