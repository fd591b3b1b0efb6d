"""Back-fills a Prometheus database with the day of the story, and with the mixin's rules and alerts over it.

promtool makes blocks of OpenMetrics text. Rules are evaluated by range queries, as in `promtool tsdb
create-blocks-from rules`. But that writes a block per rule and two hours, 700 for a day, and leaves out alerts. Here,
rules that do not read one another share their blocks, and alerts honour `for` and `keep_firing_for`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kronos_mixin import promql
from kronos_mixin.contract import Contract, load_contract, mixin_path
from kronos_mixin.drill import exposition
from kronos_mixin.drill.story import DAY, END, Numbers, Requests, requests
from kronos_mixin.jsonnet import Mixin, evaluate
from kronos_mixin.verify.api import Api
from proof.servers import promtool
from proof.servers.binaries import Tools
from proof.servers.prometheus import Prometheus

STEP = 60
"""Seconds between scrapes, and between evaluations of the rules."""

FLAGS = ("--storage.tsdb.retention.time=100y",)
"""The day lies in the past: keep its blocks."""

_BLOCK = 2 * 3600
"""Seconds in a block. promtool reads its whole input once for each block, so each block gets an input of its own."""

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def compile_for_history(overrides: Mapping[str, Any] | None = None) -> Mixin:
    """Evaluate the mixin with the intervals of the history."""
    step = f"{STEP}s"
    pace = {"evaluationInterval": step, "slowEvaluationInterval": step, "scrape": {"interval": step}}
    return evaluate(mixin_path(), {"kronos": pace | dict(overrides or {})})


def fill(
    tools: Tools, mixin: Mixin, folder: Path, hours: float = 24, *, before: float = 0, flags: Sequence[str] = FLAGS
) -> Requests:
    """Write the last `hours` of the day into `folder/data`, and return all requests of the day.

    Scrapes begin `before` hours earlier than rules, which a Prometheus with these `flags` evaluates. Raises
    CheckFailed, with the message of promtool.
    """
    contract = load_contract()
    day_requests = requests(contract)
    data = folder / "data"
    day = exposition.Day(contract, day_requests, STEP, DAY - (hours + before) * 3600)
    write_blocks(tools, folder, data, list(day.series()), (END - DAY + day.times).tolist())
    times = [END - hours * 3600 + STEP * number for number in range(round(hours * 3600 / STEP) + 1)]
    # A server sees new blocks when it starts, so there is one for each level.
    for level in levels(mixin, contract):
        with serve(tools, data, flags) as server:
            recorded = [series for rule in level for series in recorded_series(server, rule, times)]
        write_blocks(tools, folder, data, recorded, times)
    with serve(tools, data, flags) as server:
        alerts = [
            series
            for group in mixin.alerts
            for rule in group["rules"]
            for series in alert_series(server, rule, times)
        ]
    write_blocks(tools, folder, data, alerts, times)
    return day_requests


def serve(tools: Tools, data: Path, flags: Sequence[str] = FLAGS) -> Prometheus:
    """A Prometheus that serves the database; it scrapes and evaluates nothing."""
    return Prometheus(tools, {"global": {"scrape_interval": f"{STEP}s"}}, data=data, flags=flags)


def levels(mixin: Mixin, contract: Contract) -> list[list[dict[str, Any]]]:
    """Group the recording rules: those that read only metrics, then those that read the first group, and so on."""
    rules = [rule for group in mixin.rules for rule in group["rules"]]
    known: dict[str, promql.Labels | None] = dict.fromkeys(contract.all_exposed_series())
    known |= {rule["record"]: None for rule in rules}
    # A rule that reads its own past finds none: the history begins with it.
    reads = {rule["record"]: promql.read(rule["expr"], known).series - {rule["record"]} for rule in rules}
    done: set[str] = set()
    ordered = []
    while len(done) < len(reads):
        names = {name for name, read in reads.items() if name not in done and not (read & reads.keys()) - done}
        if not names:
            raise ValueError(f"These rules read each other in a circle: {', '.join(sorted(reads.keys() - done))}")
        ordered.append([rule for rule in rules if rule["record"] in names])
        done |= names
    return ordered


def recorded_series(api: Api, rule: Mapping[str, Any], times: list[float]) -> Iterator[exposition.Series]:
    """The series of one recording rule."""
    for labels, values in _evaluated(api, rule, times):
        yield exposition.Series(rule["record"], labels, values)


def alert_series(api: Api, rule: Mapping[str, Any], times: list[float]) -> Iterator[exposition.Series]:
    """The ALERTS series of one alert, as Prometheus writes them."""
    wait, keep = seconds(rule.get("for", "0s")), seconds(rule.get("keep_firing_for", "0s"))
    for labels, values in _evaluated(api, rule, times):
        found = states(~np.isnan(values), wait, keep)
        for state in ("pending", "firing"):
            if (held := found == state).any():
                own = {**labels, "alertname": rule["alert"], "alertstate": state}
                yield exposition.Series("ALERTS", own, np.where(held, 1.0, np.nan))


def _evaluated(api: Api, rule: Mapping[str, Any], times: list[float]) -> Iterator[tuple[dict[str, str], Numbers]]:
    """Labels and values of the result of a rule's expression; NaN where it has none."""
    for series in api.query_range(rule["expr"], times[0], times[-1], STEP):
        values = np.full(len(times), np.nan)
        for at, value in series.points:
            values[round((at - times[0]) / STEP)] = value
        labels = {name: value for name, value in series.labels.items() if name != "__name__"}
        yield labels | rule.get("labels", {}), values


def seconds(duration: str) -> float:
    """Seconds in a Prometheus duration such as "1h30m"."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def states(met: npt.NDArray[np.bool_], wait: float, keep: float) -> npt.NDArray[np.str_]:
    """The state of one alert at each evaluation: "", "pending" or "firing"."""
    found = []
    since: float | None = None
    last_met = 0.0
    firing = False
    for number, holds in enumerate(met):
        now = float(number * STEP)
        if holds:
            since = now if since is None else since
            last_met = now
            firing = firing or now - since >= wait
        elif not (firing and now - last_met < keep):
            since, firing = None, False
        found.append("firing" if firing else "pending" if since is not None else "")
    return np.array(found)


def write_blocks(tools: Tools, folder: Path, data: Path, series: list[exposition.Series], times: list[float]) -> None:
    """Write an input for each block, and have promtool convert two at a time."""
    parts: dict[int, list[int]] = {}
    for place, time in enumerate(times):
        parts.setdefault(int(time // _BLOCK), []).append(place)

    def make(part: list[int]) -> None:
        file = folder / f"{part[0]}.om"
        with file.open("w", encoding="utf-8") as out:
            out.writelines(exposition.text(series, times, slice(part[0], part[-1] + 1)))
        promtool.blocks_from_openmetrics(tools, file, data)
        file.unlink()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, parts.values()))
