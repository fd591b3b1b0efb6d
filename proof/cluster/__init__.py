"""The service in a real Kubernetes of one node: what clients see, against what Prometheus counts."""
