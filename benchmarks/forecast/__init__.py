"""What `nox -s bench_forecast` measures: the forecaster beside the reference, the machine, and the service."""
