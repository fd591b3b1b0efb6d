"""Environment variables that libraries read by themselves, and that would change what the service promises."""

from __future__ import annotations

import os
from importlib.metadata import entry_points

_DROPPED = {
    "PROMETHEUS_MULTIPROC_DIR": "it would take away gauges and exemplars: an instance is one process",
    "WEB_CONCURRENCY": "an instance is one process: run more instances",
    "FORWARDED_ALLOW_IPS": "set KRONOS_TRUSTED_PROXIES",
    "PYDANTIC_SETTINGS_DEBUG": "it would print secrets",
    "FASTAPI_OTEL_AUTO_CONFIGURE": "traces need only the OTEL_ variables",
}
"""Variables in upper case, each with what to say about it."""

_PROPAGATORS = "OTEL_PROPAGATORS"


def drop_foreign() -> list[str]:
    """Remove them from the environment, before the libraries are imported; returns a sentence on each."""
    dropped = {name: reason for name in os.environ if (reason := _DROPPED.get(name.upper()))}
    if missing := _missing_propagators():
        dropped[_PROPAGATORS] = f"no package here provides {', '.join(missing)}"
    for name in dropped:
        del os.environ[name]
    return [f"{name} in the environment is ignored: {reason}" for name, reason in dropped.items()]


def _missing_propagators() -> list[str]:
    """Those that OpenTelemetry would not find, and stop the process for."""
    wanted = [name.strip() for name in os.environ.get(_PROPAGATORS, "").split(",") if name.strip()]
    known = {point.name for point in entry_points(group="opentelemetry_propagator")} | {"none"}
    return [name for name in wanted if name not in known]
