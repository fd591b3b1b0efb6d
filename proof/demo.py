"""The whole path, once, for real: a forecast, its metrics in Prometheus, the overview, and an alert on a real fault.

`python -m proof.demo` then keeps running until Ctrl-C, `--once` stops by itself. Nothing is left running, and nothing
is written outside temporary folders and the cache of Debian's packages.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import CompileError, Mixin, evaluate
from kronos_mixin.verify.api import Api, QueryError, WaitError
from kronos_mixin.verify.panels import Query, queries
from proof.servers import binaries
from proof.servers.background import background
from proof.servers.central import compile_into
from proof.servers.process import ProcessError
from proof.servers.prometheus import Prometheus
from proof.servers.service import Service
from proof.units import formatted
from training import synthetic

_COLUMNS = 80

_OVERVIEW = "kronos-dashboard.json"
_ALERT = "KronosServiceDown"

# Minutes of waiting become seconds, through the mixin's configuration alone.
_SCRAPE, _EVALUATION, _RATES = "2s", "2s", "20s"
_WINDOW, _FOR = "10s", "4s"

_HISTORY, _HORIZON = 240, 24
"""Hours that the forecast is made from, and hours to forecast."""

_SEED = 3
"""Of series that the demo checkpoint was not trained on."""

_EVERY, _WIDTH = 2, 34
"""Hours between two rows of the forecast's table, and the width of its chart."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0, or 1 with a message about what is missing."""
    parser = argparse.ArgumentParser(prog="nox -s demo --", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop at the end instead of running until Ctrl-C")
    parser.add_argument("--port", type=int, default=8000, help="port of the service (default: %(default)s)")
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    console.width = min(console.width, _COLUMNS)
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
        _show_pace(console)
        with _step(console, "Starting the service with its demo checkpoint"):
            service = running.enter_context(Service(port=port))
        with _step(console, f"Forecasting {_HORIZON} hours from {_HISTORY} made-up hourly candles"):
            candles, hours = _series(_HISTORY + _HORIZON)
            overrides = {"seed": 1, "sample_count": 20, "quantiles": [0.1, 0.9]}
            answer = _post(service, "single", _request(candles, hours) | {"overrides": overrides})
        _show_forecast(console, candles, answer)
        running.enter_context(_traffic(service))
        tools = binaries.newest(say=console.print)
        with _step(console, f"Starting Prometheus {tools.version}"):
            prometheus = running.enter_context(Prometheus(tools, Path(folder) / "prometheus.yml"))
        with _step(console, f"Collecting metrics for {_RATES}"):
            _wait_for_records(prometheus, mixin)
        _show_overview(console, prometheus, mixin)
        _show_alerts(console, prometheus)
        _break_and_mend(console, service, prometheus)
        if not once:
            _show_addresses(console, service, prometheus)
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
    console.print(f"{what} ...", end=" ")
    start = time.monotonic()
    yield
    console.print(f"[green]{time.monotonic() - start:.1f} s")


def _knobs(port: int) -> dict[str, Any]:
    return {
        "rateWindow": _RATES,
        "evaluationInterval": _EVALUATION,
        "slowEvaluationInterval": _EVALUATION,
        "scrape": {"targets": [f"127.0.0.1:{port}"], "interval": _SCRAPE, "timeout": _SCRAPE},
        "alerts": {_ALERT: {"window": _WINDOW, "for": _FOR, "keepFiringFor": "0s"}},
    }


def _show_pace(console: Console) -> None:
    usual = evaluate(mixin_path()).config
    alert = usual["alerts"][_ALERT]
    console.print(
        f"The rules are those in monitoring/, but faster: rates over {_RATES}, not {usual['rateWindow']}; {_ALERT} "
        f"looks back {_WINDOW}, not {alert['window']}, and waits {_FOR}, not {alert['for']}.\n"
    )


def _series(length: int, seed: int = _SEED) -> tuple[list[dict[str, float]], list[str]]:
    """Made-up hourly candles, and their times."""
    made = synthetic.make(np.random.default_rng(seed), 1, length)
    fields = ("open", "high", "low", "close", "volume")
    candles = [dict(zip(fields, map(float, row), strict=False)) for row in made.candles[0]]
    return candles, [f"{hour}:00:00" for hour in made.hours[0]]


def _request(
    candles: list[dict[str, float]], hours: list[str], window: int = _HISTORY, horizon: int = _HORIZON
) -> dict[str, Any]:
    """A forecast of ``horizon`` hours from the first ``window`` candles."""
    return {"candles": candles[:window], "timestamps": hours[:window], "horizon": horizon}


def _post(service: Service, route: str, body: dict[str, Any]) -> dict[str, Any]:
    with httpx.Client(trust_env=False, timeout=60) as client:
        answer = client.post(f"{service.url}/v1/predict/{route}", json=body)
    if not answer.is_success:
        raise ProcessError(f"the service answered {answer.status_code}: {answer.text}")
    forecast: dict[str, Any] = answer.json()
    return forecast


def _traffic(service: Service) -> contextlib.AbstractContextManager[None]:
    """Light, mixed traffic in the background: most of it good, some that the service refuses."""
    made = [_series(200, seed) for seed in range(4)]
    batch = {"items": [_request(*one, 30 + 40 * index, 3) for index, one in enumerate(made)]}
    good = [("single", _request(*one, 200, 10)) for one in made] + [("batch", batch)]
    too_short = _request(*made[0], window=1)
    wrong = _request(*made[0]) | {"horizon": -1}

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
    """Until there is a whole window of traffic, and every recording rule has given a sample."""
    prometheus.wait_for(f"kronos_requests_total offset {_RATES} > 0", timeout=120)
    records = {rule["record"] for group in mixin.rules for rule in group["rules"]}
    wanted = f'count by (__name__) ({{__name__=~"{"|".join(records)}"}})'
    prometheus.wait_for(wanted, lambda found: len(found) == len(records), timeout=120)


def _show_forecast(console: Console, candles: list[dict[str, float]], answer: dict[str, Any]) -> None:
    """Closes of the day before, of the forecast and of what came, in numbers and as a chart."""
    before, truth = ([candle["close"] for candle in part] for part in (candles[-2 * _HORIZON :], candles[-_HORIZON:]))
    forecast = [candle["close"] for candle in answer["prediction"]]
    low, high = ([candle["close"] for candle in one["prediction"]] for one in answer["quantiles"])
    bottom, top = min(*truth, *low), max(*truth, *high)

    def column(value: float) -> int:
        return int((value - bottom) / (top - bottom) * (_WIDTH - 1))

    table = Table(box=box.SIMPLE, padding=0, pad_edge=False)
    table.add_column("time", no_wrap=True)
    for name in ("day before", "forecast", "came"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("─ 80 % of paths  ● forecast  ○ came", no_wrap=True)
    for step in range(0, _HORIZON, _EVERY):
        chart = [" "] * _WIDTH
        for place in range(column(low[step]), column(high[step]) + 1):
            chart[place] = "─"
        chart[column(truth[step])], chart[column(forecast[step])] = "○", "●"
        numbers = (f"{series[step]:.2f}" for series in (before, forecast, truth))
        table.add_row(answer["prediction"][step]["timestamp"][5:16].replace("T", " "), *numbers, "".join(chart))
    console.print(table)
    console.print(
        f"{answer['model_version'].capitalize()}, the service's own checkpoint, was trained on made-up series with "
        "rhythms of day and week. This is another one, and the forecast follows its rhythm; the model knows nothing "
        "of markets.\n"
    )


def _show_overview(console: Console, prometheus: Api, mixin: Mixin) -> None:
    dashboard = mixin.dashboards[_OVERVIEW]
    console.print(f"\nThe dashboard {dashboard['title']} ({_OVERVIEW}) now:")
    table = Table(box=box.SIMPLE, padding=(0, 1), collapse_padding=True)
    table.add_column("panel")
    table.add_column("line")
    table.add_column("value", justify="right")
    for panel, lines in _panels(prometheus, queries(dashboard, _EVALUATION)).items():
        for number, (line, value) in enumerate(lines):
            table.add_row("" if number else panel, line, value)
    console.print(table)


def _panels(prometheus: Api, asked: Iterator[Query]) -> dict[str, list[tuple[str, str]]]:
    """The lines of each panel and their values now; those at zero are one line together."""
    found: dict[str, list[tuple[str, str]]] = {}
    zeros: dict[str, list[tuple[str, str]]] = {}
    empty: dict[str, tuple[str, str]] = {}
    for query in asked:
        lines = found.setdefault(query.panel, [])
        empty[query.panel] = query.name({}), query.empty
        for sample in prometheus.query(query.expr):
            name = query.name(sample.labels)
            line = name, formatted(sample.value, query.unit_of(name))
            (lines if sample.value else zeros.setdefault(query.panel, [])).append(line)
    for panel, lines in zeros.items():
        name, value = lines[0]
        found[panel].append(
            (name if len(lines) == 1 else f"{len(lines)} {'others' if found[panel] else 'lines'}", value)
        )
    # As in Grafana, a panel is empty only if all its queries are.
    return {panel: lines or [empty[panel]] for panel, lines in found.items()}


def _show_alerts(console: Console, prometheus: Api) -> None:
    rules = [rule for group in prometheus.rules() for rule in group["rules"] if rule["type"] == "alerting"]
    watching = {rule["name"] for rule in rules}
    firing = sorted({rule["name"] for rule in rules if rule["state"] == "firing"})
    console.print(f"{len(watching)} alerts watch over it. Firing: {', '.join(firing) or 'none'}.\n")


def _break_and_mend(console: Console, service: Service, prometheus: Prometheus) -> None:
    """Kill the service until its alert fires, and start it again until the alert has resolved."""
    start = time.monotonic()

    def log(what: str) -> None:
        console.print(f"{time.monotonic() - start:6.1f} s  {what}")

    console.print("[bold]Now something breaks.")
    service.process.send(signal.SIGKILL)
    service.process.wait(timeout=30)
    log("The service is killed, as the kernel does when memory runs out.")
    for state in ("pending", "firing"):
        prometheus.wait_for(f'ALERTS{{alertname="{_ALERT}", alertstate=~"{state}|firing"}}', timeout=60)
        log(f"{_ALERT} is {state}.")
    (alert,) = [one for one in prometheus.alerts() if one["labels"]["alertname"] == _ALERT]
    labels, annotations = alert["labels"], alert["annotations"]
    for text, style in (
        (f"{labels['severity']}: {annotations['summary']}", "red"),
        (annotations["description"], ""),
        (f"Runbook: mixin/runbooks/{_ALERT}.md", ""),
    ):
        console.print(Padding(Text(text, style), (0, 0, 0, 10), expand=False))
    service.restart()
    log("The service is started again, and ready.")
    prometheus.wait_for(f'ALERTS{{alertname="{_ALERT}"}}', lambda found: not found, timeout=60)
    log(f"[green]{_ALERT} has resolved.")


def _show_addresses(console: Console, service: Service, prometheus: Api) -> None:
    contract = load_contract()
    console.print("\nOpen:")
    for what, address in (
        ("the service's API", f"{service.url}/docs"),
        ("its metrics", f"{service.url}{contract.metrics_path}"),
        # The API, not pages: Debian's Prometheus comes without them.
        ("what fires", f"{prometheus.url}/api/v1/alerts"),
    ):
        console.print(f"  {what:<18} {address}", soft_wrap=True)
    console.print(f"In your Grafana, import monitoring/grafana/{_OVERVIEW}.")
    console.print("\nRunning, with light traffic. Ctrl-C stops everything.")


if __name__ == "__main__":
    sys.exit(main())
