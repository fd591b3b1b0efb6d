"""The story that fills a Prometheus: one day, back-filled, or a few minutes with the real service."""
