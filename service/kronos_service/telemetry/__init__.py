"""What is told of a request and of the process: metrics, logs, traces."""
