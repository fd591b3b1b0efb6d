"""A stack to break: two simulated instances, and a Prometheus that watches them."""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from kronos_mixin.compile import render, write
from kronos_mixin.connect import Connection, Connections
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.drill.kronos import Behaviour, Instance
from kronos_mixin.jsonnet import Mixin, evaluate
from kronos_mixin.verify import copies, histograms, recorded, rules, scraping, series, service, targets
from kronos_mixin.verify.check import Check, Outcome, State, outcomes
from kronos_mixin.verify.stack import Stack
from proof.servers import binaries
from proof.servers.prometheus import Prometheus

CONTRACT = load_contract()
CHECKS: tuple[Check, ...] = tuple(
    check
    for module in (targets, copies, scraping, series, histograms, rules, recorded, service)
    for check in module.CHECKS
)
WELL = {State.ok, State.skipped}


def knobs(*targets: str) -> dict[str, Any]:
    """Seconds in place of minutes."""
    return {
        "rateWindow": "20s",
        "evaluationInterval": "2s",
        "slowEvaluationInterval": "2s",
        "scrape": {"targets": list(targets), "interval": "1s", "timeout": "1s"},
        "requests": {"sparseWindow": "1m", "guardWindow": "2m"},
    }


def _typed(text: str) -> Iterator[str]:
    """What an instance exposes, with the type of each metric before its series."""
    types = {series: metric for metric in CONTRACT.metrics for series in CONTRACT.exposed_series(metric)}
    last = None
    for line in text.splitlines(keepends=True):
        metric = types.get(line.partition("{")[0])
        if metric and metric != last:
            yield f"# TYPE {metric} {CONTRACT.metrics[metric].type}\n"
        last = metric
        yield line


class Served:
    """A simulated instance at an address of its own, whose answer can be tampered with."""

    def __init__(self, load_seconds: float) -> None:
        self.well = Behaviour(gauges={"kronos_model_load_seconds": load_seconds}, version="0.1.0")
        self.instance = Instance(CONTRACT, "", self.well)
        self.mend()

    def mend(self) -> None:
        """Answer as a service does that is well."""
        self.status, self.kind, self.key = 200, "text/plain; version=0.0.4; charset=utf-8", ""
        self.edit: Callable[[str], str] = lambda text: text
        self.instance.behave(self.well)

    def text(self) -> str:
        return self.edit("".join(_typed(self.instance.scrape())))

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve; gives host and port."""
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path == CONTRACT.metrics_path
                allowed = not served.key or self.headers.get("Authorization") == f"Bearer {served.key}"
                body = served.text().encode() if found and allowed and served.status == 200 else b"no\n"
                self.send_response(404 if not found else 401 if not allowed else served.status)
                self.send_header("Content-Type", served.kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.handle_error = lambda *_: None  # type: ignore[method-assign]
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"127.0.0.1:{server.server_port}"
            server.shutdown()


@dataclass
class Bench:
    """The stack, and what it should be. Configurations are data, which a fault changes in place."""

    folder: Path
    instances: tuple[Served, Served]
    spare: Served
    """A third instance, which nothing scrapes yet."""
    addresses: tuple[str, str, str]
    mixin: Mixin
    server: Prometheus
    config: dict[str, Any]
    rules: dict[str, Any] = field(default_factory=dict)
    """The rule files, by name, as data."""

    def load(self, config: Mapping[str, Any], rules: Mapping[str, Any]) -> None:
        for name, data in rules.items():
            (self.folder / name).write_text(yaml.safe_dump(data, sort_keys=False))
        self.server.reload(config)

    @contextlib.contextmanager
    def changed(self, sow: Callable[[Bench, dict[str, Any], dict[str, Any]], object]) -> Iterator[None]:
        """The stack with what `sow` changes of the configuration, the rules or the instances."""
        config, rules = copy.deepcopy((self.config, self.rules))
        sow(self, config, rules)
        try:
            self.load(config, rules)
            yield
        finally:
            for served in self.instances:
                served.mend()
            for name in rules.keys() - self.rules.keys():
                (self.folder / name).unlink()
            self.load(self.config, self.rules)

    def rules_of(self, job: str, name: str) -> dict[str, Any]:
        """The rules, or alerts, that are compiled for another job."""
        found = render(evaluate(mixin_path(), {"kronos": {**knobs(*self.addresses[:2]), "job": job}}))
        data: dict[str, Any] = yaml.safe_load(found[f"prometheus/{name}.yml"])
        return data

    def until(self, right: Callable[[dict[str, Outcome]], bool]) -> dict[str, Outcome]:
        """What verify says once it says the right thing."""
        return wait_until(right, Connections(prometheus=Connection(self.server.url)), self.mixin)


def outcomes_of(connections: Connections, mixin: Mixin) -> dict[str, Outcome]:
    """What each of the checks says of a stack, by its name."""
    with Stack(connections, mixin, CONTRACT) as stack:
        return {outcome.check.name: outcome for outcome in outcomes(CHECKS, stack)}


def wait_until(
    right: Callable[[dict[str, Outcome]], bool], connections: Connections, mixin: Mixin, seconds: float = 120
) -> dict[str, Outcome]:
    """What verify says once it says the right thing; fails with what it said last."""
    deadline = time.monotonic() + seconds
    while not right(found := outcomes_of(connections, mixin)):
        assert time.monotonic() < deadline, f"{connections.prometheus}:\n{told(found)}"
        time.sleep(0.5)
    return found


def is_well(found: Mapping[str, Outcome]) -> bool:
    """Whether all that applies was asked, and nothing is wrong."""
    return all(outcome.state in WELL for outcome in found.values())


def told(found: Mapping[str, Outcome]) -> str:
    """What is not well, for people."""
    return "\n".join(
        f"{name}: {outcome.state} {outcome.reason} {[(one.severity.value, one.wrong) for one in outcome.findings]}"
        for name, outcome in found.items()
        if outcome.state not in WELL
    )


def wrong(found: Mapping[str, Outcome]) -> set[str]:
    """The checks that found something."""
    return {name for name, outcome in found.items() if outcome.state in {State.error, State.warning, State.early}}


@contextlib.contextmanager
def bench(folder: Path, version: str = "newest") -> Iterator[Bench]:
    """Instances, and the newest or the oldest Prometheus."""
    with contextlib.ExitStack() as running:
        served = [Served(2.0 + number) for number in range(3)]
        addresses = [running.enter_context(one.running()) for one in served]
        mixin = evaluate(mixin_path(), {"kronos": knobs(*addresses[:2])})
        write(render(mixin), folder)
        (job,) = mixin.scrape_configs
        config = {
            "global": {"external_labels": {"datacenter": "north"}},
            "rule_files": [str(folder / "*.rules.yml")],
            "scrape_configs": [copy.deepcopy(job)],
        }
        rules = {
            f"{name}.rules.yml": yaml.safe_load((folder / f"prometheus/{name}.yml").read_text())
            for name in ("kronos-rules", "kronos-alerts")
        }
        for name, data in rules.items():
            (folder / name).write_text(yaml.safe_dump(data, sort_keys=False))
        tools = sorted(binaries.every(), key=lambda tools: tools.release)[-1 if version == "newest" else 0]
        flags = ["--enable-feature=native-histograms"] if tools.release > (3,) else []
        server = running.enter_context(Prometheus(tools, config, flags=flags))
        yield Bench(folder, (served[0], served[1]), served[2], (*addresses,), mixin, server, config, rules)
