"""The whole path, once, for real: candles in, a forecast out, Prometheus sees it, the mixin shows it and judges it.

`python -m proof.demo` runs until Ctrl-C, `--once` stops by itself. Nothing is left running, and nothing is written
outside temporary folders and the cache of Debian's packages.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from bokeh_sampledata import stocks
from rich import box
from rich.console import Console
from rich.table import Table

from kronos_mixin.contract import load_contract
from kronos_mixin.jsonnet import CompileError, Mixin
from kronos_mixin.verify.api import Api, QueryError, Sample, WaitError
from kronos_mixin.verify.panels import queries
from proof.servers import binaries
from proof.servers.background import background
from proof.servers.central import compile_into
from proof.servers.process import ProcessError
from proof.servers.prometheus import Prometheus
from proof.servers.service import Service

# Nothing but the pace is changed: minutes of waiting become seconds, every expression stays as it is committed.
_SCRAPE, _EVALUATION = "2s", "4s"

_HORIZON = 5
_WINDOW = 60


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0, or 1 with a message about what is missing."""
    parser = argparse.ArgumentParser(prog="nox -s demo --", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop after one round instead of running until Ctrl-C")
    parser.add_argument("--port", type=int, default=8000, help="port of the service (default: %(default)s)")
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    try:
        _run(console, options.port, once=options.once)
    except KeyboardInterrupt:
        console.print("\nStopped.")
    except (binaries.Missing, CompileError, ProcessError, QueryError, WaitError, httpx.HTTPError, OSError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return 0


def _run(console: Console, port: int, *, once: bool) -> None:
    _require_free(port)
    with tempfile.TemporaryDirectory(prefix="kronos-demo-") as folder, contextlib.ExitStack() as running:
        with _step(console, "Compiling the mixin"):
            mixin = compile_into(Path(folder), _knobs(port))
        with _step(console, "Starting the service with the built-in demo checkpoint"):
            service = running.enter_context(Service(port=port))
        with _step(console, f"Asking for a forecast of {_HORIZON} days from {_WINDOW} daily candles of AAPL"):
            request = _request("AAPL")
            answer = _post(service, "single", request)
        _show_forecast(console, request, answer)
        running.enter_context(_traffic(service))
        with _step(console, "Finding Prometheus"):
            tools = binaries.newest(say=lambda line: console.print(f"  {line}"))
        with _step(console, f"Starting Prometheus {tools.version}"):
            prometheus = running.enter_context(Prometheus(tools, Path(folder) / "prometheus.yml"))
        with _step(console, "Waiting for the recorded series"):
            _wait_for_records(prometheus, mixin)
        _show_panels(console, prometheus, mixin)
        _show_alerts(console, prometheus)
        _show_addresses(console, service, prometheus)
        if not once:
            console.print("\nRunning, with light traffic. Ctrl-C stops everything.")
            while True:
                service.process.check()
                prometheus.process.check()
                time.sleep(1)
    console.print("\nStopped the service and Prometheus.")


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise OSError(
                f"port {port} of 127.0.0.1: {error.strerror}. Stop what listens there, or choose another port: "
                f"nox -s demo -- --port {port + 1}"
            ) from None


@contextlib.contextmanager
def _step(console: Console, what: str) -> Iterator[None]:
    """Say what is being done, and then how long it took."""
    console.print(f"[bold]{what}[/bold] ...")
    start = time.monotonic()
    with console.status(what) if console.is_terminal else contextlib.nullcontext():
        yield
    console.print(f"  done in {time.monotonic() - start:.1f} s")


def _knobs(port: int) -> dict[str, Any]:
    scrape = {"targets": [f"127.0.0.1:{port}"], "interval": _SCRAPE, "timeout": _SCRAPE}
    return {"evaluationInterval": _EVALUATION, "scrape": scrape}


def _request(ticker: str, window: int = _WINDOW, horizon: int = _HORIZON) -> dict[str, Any]:
    """The last ``window`` daily candles of a real stock, and how many days to forecast."""
    stock: dict[str, list[Any]] = getattr(stocks, ticker)
    fields = ("open", "high", "low", "close", "volume")
    rows = list(zip(*(stock[field][-window:] for field in fields), strict=True))
    return {
        "series_id": ticker,
        "candles": [dict(zip(fields, row, strict=True)) for row in rows],
        "timestamps": [f"{day}T00:00:00" for day in stock["date"][-window:]],
        "horizon": horizon,
    }


def _post(service: Service, route: str, body: dict[str, Any]) -> dict[str, Any]:
    with httpx.Client(trust_env=False, timeout=60) as client:
        answer = client.post(f"{service.url}/v1/predict/{route}", json=body)
    if not answer.is_success:
        raise ProcessError(f"the service answered {answer.status_code}: {answer.text}")
    forecast: dict[str, Any] = answer.json()
    return forecast


def _traffic(service: Service) -> contextlib.AbstractContextManager[None]:
    """Light, mixed traffic in the background: most of it good, some that the service refuses."""
    tickers = ("AAPL", "GOOG", "IBM", "MSFT")
    batch = {"items": [_request(ticker, 30 + 40 * index, 3) for index, ticker in enumerate(tickers)]}
    good = [("single", _request(ticker, 200, 10)) for ticker in tickers] + [("batch", batch)]
    too_short = _request("AAPL", 1)
    wrong = {**_request("AAPL"), "horizon": -1}

    def send(stop: threading.Event) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not stop.is_set():
                for route, body in [*good, ("single", too_short), ("single", wrong), ("nowhere", {})]:
                    # The service may be on its way out while we are.
                    with contextlib.suppress(httpx.HTTPError):
                        client.post(f"{service.url}/v1/predict/{route}", json=body)
                    if stop.wait(0.2):
                        return

    return background(send)


def _wait_for_records(prometheus: Prometheus, mixin: Mixin) -> None:
    """Until every recording rule has given a sample: the last to come are those over others, with traffic in them."""
    records = [rule["record"] for group in mixin.rules for rule in group["rules"]]
    wanted = "|".join(records)
    prometheus.wait_for(
        f'count by (__name__) ({{__name__=~"{wanted}"}})', lambda found: len(found) == len(set(records)), timeout=120
    )
    prometheus.wait_for("sum(job_route_status:kronos_requests:rate5m) > 0", timeout=60)


def _show_forecast(console: Console, request: dict[str, Any], answer: dict[str, Any]) -> None:
    fields = ("open", "high", "low", "close")
    title = f"{request['series_id']}: what came before, and the forecast of {answer['model_version']}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    for side in ("before", "forecast"):
        table.add_column(side, no_wrap=True)
        for field in fields:
            table.add_column(field, justify="right", no_wrap=True)
    before = zip(request["timestamps"][-_HORIZON:], request["candles"][-_HORIZON:], strict=True)
    for (day, candle), forecast in zip(before, answer["prediction"], strict=True):
        table.add_row(
            day[5:10],
            *(f"{candle[field]:.2f}" for field in fields),
            forecast["timestamp"][5:10],
            *(f"{forecast[field]:.2f}" for field in fields),
        )
    console.print(table)
    console.print("The demo checkpoint has never been trained: its numbers are real output, and mean nothing.\n")


def _show_panels(console: Console, prometheus: Api, mixin: Mixin) -> None:
    for name, dashboard in mixin.dashboards.items():
        table = Table(title=f"{dashboard['title']} ({name})", title_justify="left", box=box.SIMPLE)
        table.add_column("panel")
        table.add_column("line")
        table.add_column("now", justify="right")
        last = ""
        for query in queries(dashboard, _EVALUATION):
            lines = [(query.name(s.labels), _value(s, query.unit)) for s in prometheus.query(query.expr)]
            for line, value in lines or [(query.name({}) or "by " + ", ".join(query.labels), "none")]:
                table.add_row(query.panel if query.panel != last else "", line, value)
                last = query.panel
        console.print(table)
    console.print("Rates are over 5 minutes, and the demo is younger: they are still growing.\n")


def _value(sample: Sample, unit: str) -> str:
    if unit == "percentunit":
        return f"{sample.value:.1%}"
    return f"{sample.value:.3g} {'' if unit in {'none', 'short'} else unit}".strip()


def _show_alerts(console: Console, prometheus: Api) -> None:
    table = Table(title="Alerts", title_justify="left", box=box.SIMPLE)
    for column in ("alert", "severity", "state"):
        table.add_column(column)
    for group in prometheus.rules():
        for rule in group["rules"]:
            if rule["type"] == "alerting":
                table.add_row(rule["name"], rule["labels"]["severity"], rule["state"])
    console.print(table)


def _show_addresses(console: Console, service: Service, prometheus: Api) -> None:
    contract = load_contract()
    console.print("Open:")
    for what, address in (
        ("the service's API", f"{service.url}/docs"),
        ("its metrics", f"{service.url}{contract.metrics_path}"),
        # The API, not pages: Debian's Prometheus comes without them.
        ("what fires", f"{prometheus.url}/api/v1/alerts"),
        ("a recorded series", f"{prometheus.url}/api/v1/query?query=job_route_status:kronos_requests:rate5m"),
    ):
        console.print(f"  {what:<18} {address}", soft_wrap=True)
    console.print("In your Grafana, import monitoring/grafana/kronos-dashboard.json.")


if __name__ == "__main__":
    sys.exit(main())
