"""The paths of the service, and which of them the request metrics count."""

from __future__ import annotations

SINGLE_PATH = "/v1/predict/single"
BATCH_PATH = "/v1/predict/batch"
API_PATHS = frozenset({SINGLE_PATH, BATCH_PATH})
"""The paths with keys, limits and metrics."""

HEALTH_PATH = "/v1/healthz"
READY_PATH = "/v1/readyz"
INFO_PATH = "/v1/info"
METRICS_PATH = "/v1/metrics"
OPENAPI_PATH = "/openapi.json"
DOCS_PATH = "/docs"
DOCS_SCRIPT_PATH = f"{DOCS_PATH}/swagger-ui-bundle.js"
DOCS_STYLE_PATH = f"{DOCS_PATH}/swagger-ui.css"
DOCS_ICON_PATH = f"{DOCS_PATH}/favicon.png"
UNCOUNTED_PATHS = frozenset(
    {
        HEALTH_PATH,
        READY_PATH,
        INFO_PATH,
        METRICS_PATH,
        OPENAPI_PATH,
        DOCS_PATH,
        DOCS_SCRIPT_PATH,
        DOCS_STYLE_PATH,
        DOCS_ICON_PATH,
    }
)
"""The paths that no request metric counts."""

UNMATCHED = "unmatched"
"""The ``route`` label of every other path."""


def route_of(path: str) -> str | None:
    """The ``route`` label of a path; None if it is not counted."""
    if path in API_PATHS:
        return path
    return None if path in UNCOUNTED_PATHS else UNMATCHED
