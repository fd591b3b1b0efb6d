"""The same hours under the rules of Prometheus and of VictoriaMetrics: where they agree, and how far they do not."""
