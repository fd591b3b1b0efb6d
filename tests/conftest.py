from __future__ import annotations

from proof.servers import binaries


def pytest_report_header() -> str:
    return "Prometheus: " + ", ".join(tools.version for tools in binaries.every())
