"""Fills a Prometheus or a VictoriaMetrics with data: a made-up day, or a minute of the real service."""
