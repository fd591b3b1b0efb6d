"""`nox -s fuzz`: thousands of requests generated from the OpenAPI document, then every known mistake.

No answer may be a 5xx or differ from the document, and every request must be counted.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.strategies import SearchStrategy
from rich.console import Console
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from benchmarks import mistakes
from benchmarks.scrape import difference, scrape
from kronos_service.api.paths import API_PATHS, OPENAPI_PATH
from kronos_service.telemetry import logs
from proof.servers.service import Service

_SETTINGS = {"max_candles": 64, "max_horizon": 8, "max_samples": 4, "max_batch_items": 8, "log_level": "warning"}
"""Small limits, so that valid requests are quick."""

_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
_UNCOUNTED_EXAMPLES = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Run both parts; returns the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s fuzz --", description=__doc__)
    parser.add_argument("--examples", type=int, default=500, help="for each route and kind (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="repeat an earlier run (default: the time)"
    )
    options = parser.parse_args(argv)
    console = Console(highlight=False, width=110)
    logs.configure("critical", "json")  # for the application that `mistakes` runs in this process
    faults = _schema(console, options.examples, options.seed) + mistakes.run(console)
    for fault in faults:
        console.print(f"[red]WRONG[/red] {fault}", soft_wrap=True)
    return 1 if faults else 0


def _schema(console: Console, examples: int, number: int) -> list[str]:
    console.print(f"[bold]schemathesis {importlib.metadata.version('schemathesis')}[/bold], --seed {number}")
    load_all_checks()
    codes: Counter[tuple[str, str]] = Counter()
    faults: list[str] = []
    with Service(_SETTINGS) as service, httpx.Client(base_url=service.url, trust_env=False) as client:
        document = schemathesis.openapi.from_url(service.url + OPENAPI_PATH)
        before = scrape(client).by("kronos_requests_total", "route")
        start = time.monotonic()
        for result in document.get_all_operations():
            operation = cast("APIOperation[Any, Any, Any, Any]", result.ok())  # type: ignore[union-attr,unused-ignore]
            count = examples if operation.path in API_PATHS else _UNCOUNTED_EXAMPLES
            for name, cases in _kinds(operation).items():
                faults += _fuzz(f"{operation.label} ({name})", cases, count, number, codes, service)
        counted = difference(before, scrape(client).by("kronos_requests_total", "route"))
    sent: Counter[str] = Counter()
    for (path, code), count in sorted(codes.items()):
        console.print(f"  {path} {code}: {count}")
        if path in API_PATHS:
            sent[path] += count
    console.print(f"{codes.total()} requests in {time.monotonic() - start:.0f} s; counted {dict(counted)}\n")
    if dict(sent) != counted:
        faults.append(f"sent {dict(sent)}, counted {counted}")
    return faults


def _kinds(operation: APIOperation[Any, Any, Any, Any]) -> dict[str, SearchStrategy[Case[Any]]]:
    positive = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation.path not in API_PATHS:
        return {"valid": positive}
    negative = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    return {"valid": positive, "corrected": positive.map(_corrected), "invalid": negative}


def _corrected(case: Case[Any]) -> Case[Any]:
    """Apply the rules that JSON Schema cannot express; without them, most requests are rejected for their times."""
    body: Any = case.body
    if isinstance(body, dict):
        for series in body["items"] if isinstance(body.get("items"), list) else [body]:
            if isinstance(series, dict) and isinstance(series.get("candles"), list):
                _correct(series)
    return case


def _correct(series: dict[str, Any]) -> None:
    candles = [candle for candle in series["candles"] if isinstance(candle, dict)][:64]
    for candle in candles:
        prices = [
            candle[name] for name in ("open", "close", "high", "low") if isinstance(candle.get(name), float | int)
        ]
        if prices:
            candle.update(high=max(prices), low=min(prices))
        for name in ("volume", "amount"):
            candle.pop(name, None)
    start = datetime(2026, 1, 5)
    series["candles"] = candles
    series["timestamps"] = [f"{(start + timedelta(hours=row)).isoformat()}Z" for row in range(len(candles))]
    series.pop("prediction_timestamps", None)
    series["horizon"] = 1 + len(candles) % 8


def _fuzz(
    label: str,
    cases: SearchStrategy[Case[Any]],
    examples: int,
    number: int,
    codes: Counter[tuple[str, str]],
    service: Service,
) -> list[str]:
    """Send `examples` requests of one kind to one route; returns the faults of the answers."""
    checks: list[Callable[..., Any]] = CHECKS.get_by_names(_CHECKS)
    faults: list[str] = []

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(case=cases)
    def send(case: Case[Any]) -> None:
        response = case.call(base_url=service.url)
        codes[case.path, str(response.status_code)] += 1
        try:
            case.validate_response(response, checks=checks)
        except Exception as error:
            faults.append(f"{label}: {error}")

    try:
        send()
    except Exception as error:
        faults.append(f"{label}: {type(error).__name__}: {error}")
    return list(dict.fromkeys(faults))[:5]


if __name__ == "__main__":
    sys.exit(main())
