"""What each rule group costs a Prometheus that scrapes a fleet."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.rules import remote_write
from benchmarks.rules.fleet import Child, Fleet
from kronos_mixin.contract import Contract
from proof.servers.binaries import Tools
from proof.servers.prometheus import Prometheus

SCRAPE = 15
"""Seconds between two scrapes of an instance, as in the mixin."""

_PAST = 3600
"""Seconds that are written before: the longest window over scraped series."""

_SLICE = 900
"""Seconds of the past in one request: the server takes what is at most an hour older than its newest sample."""

_PACE = 10
"""Seconds between two evaluations of a group here. They cost the same at any pace."""

Groups = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Cost:
    """What a group costs: CPU seconds of one evaluation, and the seconds that the server says it took."""

    cpu: float
    seconds: float


@dataclass(frozen=True)
class Load:
    """What a Prometheus does for so many instances.

    `series` are those of the head, without recorded ones, `recorded` those; `scraping` is CPU seconds per second
    without rules, `memory` in bytes. `costs` are by the name of a set of rules, and of a group.
    """

    instances: int
    series: int
    recorded: int
    scraping: float
    memory: float
    costs: Mapping[str, Mapping[str, Cost]]


def measure(tools: Tools, contract: Contract, sets: Mapping[str, Groups], instances: int, rounds: int) -> Load:
    """Scrape so many instances after an hour of their past, and evaluate each set of rules `rounds` times.

    Raises ProcessError or WaitError where the server does not start, or does not see the instances.
    """
    now = time.time()
    fleet = Fleet(contract, instances, now - _PAST)
    times = np.arange(now - _PAST, now, SCRAPE).tolist()
    past = fleet.past(times)
    flags = ("--web.enable-remote-write-receiver",)
    with (
        tempfile.TemporaryDirectory(prefix="kronos-bench-") as folder,
        fleet.serve() as job,
        Prometheus(tools, {}, flags=flags, timeout=300) as server,
    ):
        _write(server, fleet, past, times)
        config = {"global": {"scrape_interval": f"{SCRAPE}s"}, "scrape_configs": [job]}
        server.reload(config)
        server.wait_for(f"count(up == 1 and timestamp(up) > {now}) == {instances}", timeout=300)
        scraping = _scraping(server)
        series = int(_own(server, "prometheus_tsdb_head_series"))
        seconds = {}
        for name, groups in sets.items():
            file = Path(folder) / "rules.yml"
            paced = [{**group, "interval": f"{_PACE}s"} for group in groups]
            file.write_text(yaml.safe_dump({"groups": paced}, sort_keys=False), encoding="utf-8")
            server.reload({**config, "rule_files": [str(file)]})
            seconds[name] = _evaluated(server, rounds)
        recorded = int(server.query('count({__name__=~"job.*:kronos_.*"})')[0].value)
        memory = _own(server, "process_resident_memory_bytes")
        at = time.time()
        server.reload({})  # From here on it only answers queries.
        costs = {
            name: {
                group["name"]: Cost(_cpu(server, group, at, rounds), seconds[name][group["name"]]) for group in groups
            }
            for name, groups in sets.items()
        }
    return Load(instances, series, recorded, scraping, memory, costs)


def _write(server: Prometheus, fleet: Fleet, past: Sequence[Child], times: Sequence[float]) -> None:
    """Give the server the past of all instances."""
    size = _SLICE // SCRAPE
    up = Child("up", {}, np.ones(len(times)))
    with httpx.Client(base_url=server.url, headers=remote_write.HEADERS, trust_env=False, timeout=60) as client:
        for begin in range(0, len(times), size):
            part = slice(begin, begin + size)
            told = [
                (
                    {"__name__": child.name, **child.labels},
                    remote_write.samples(times[part], child.values[part].tolist()),
                )
                for child in (up, *past)
            ]
            for number in range(fleet.instances):
                target = fleet.target(number)
                content = remote_write.body([({**labels, **target}, samples) for labels, samples in told])
                answer = client.post("/api/v1/write", content=content)
                if not answer.is_success:
                    raise SystemExit(f"{server.url} does not take the past: {answer.text.strip()}")


def _scraping(server: Prometheus) -> float:
    """CPU seconds per second, over three scrapes of each instance."""
    begin, used = time.monotonic(), _cpu_seconds(server)
    time.sleep(3 * SCRAPE)
    return (_cpu_seconds(server) - used) / (time.monotonic() - begin)


def _evaluated(server: Prometheus, rounds: int) -> Mapping[str, float]:
    """Seconds that each group takes, by the server's own account: the least, for other programs run as well."""
    found: dict[str, dict[str, float]] = {}
    while not found or min(map(len, found.values())) < rounds:
        time.sleep(_PACE / 10)
        for group in server.rules():
            for rule in group["rules"]:
                if rule["health"] == "err":
                    raise SystemExit(f"{rule['name']}: {rule['lastError']}")
            seen = found.setdefault(group["name"], {})
            if not group["lastEvaluation"].startswith("0001"):
                seen[group["lastEvaluation"]] = group["evaluationTime"]
    return {name: min(seen.values()) for name, seen in found.items()}


def _cpu(server: Prometheus, group: Mapping[str, Any], at: float, rounds: int) -> float:
    """CPU seconds to evaluate a group once, at a time in Unix seconds: the median of some rounds."""
    spent = []
    for _ in range(rounds):
        used = _cpu_seconds(server)
        for rule in group["rules"]:
            server.query(rule["expr"], at)
        spent.append(_cpu_seconds(server) - used)
    return statistics.median(spent)


def _cpu_seconds(server: Prometheus) -> float:
    """CPU seconds of the server so far, to the nanosecond; it counts hundredths itself."""
    threads = Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _own(server: Prometheus, metric: str) -> float:
    """What the server says of itself."""
    for family in text_string_to_metric_families(server.text("/metrics")):
        for sample in family.samples:
            if sample.name == metric:
                return float(sample.value)
    raise SystemExit(f"{server.url}/metrics has no {metric}")
