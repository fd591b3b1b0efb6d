"""Many instances of the service, as a Prometheus sees them: all series of each, without the service.

They differ in name alone, for what a query costs depends on the number of samples, not on their values.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from kronos_mixin.contract import Contract
from kronos_mixin.drill.kronos import Behaviour, Flow, Instance
from kronos_mixin.drill.measures import BATCH, SINGLE
from kronos_mixin.drill.story import Numbers
from proof.servers.asgi import serving

LABELS = {"cluster": "eu", "namespace": "ml"}
"""Labels that a real installation would add to every target."""


@dataclass(frozen=True)
class Child:
    """One series of an instance by its own labels, with its value at each scrape."""

    name: str
    labels: Mapping[str, str]
    values: Numbers


def name(number: int) -> str:
    """The label `instance`."""
    return f"kronos-{number:05}:8000"


class Fleet:
    """So many instances, from `begin` (Unix seconds) on; nearly all of their requests succeed."""

    def __init__(self, contract: Contract, instances: int, begin: float) -> None:
        self.instances = instances
        self.job = contract.job
        self._path = contract.metrics_path
        bad = [status for status in contract.label_values["status"] if status != "success"]
        rare = tuple(Flow(0.005, status, route) for status in bad for route in (SINGLE, BATCH))
        slow = (Flow(0.005, seconds=50, inference=40), Flow(0.005, route=BATCH, seconds=50, inference=40))
        self._now: float | None = begin
        # The clock runs by itself once the past is told.
        self._one = Instance(
            contract, "", Behaviour((*Behaviour().flows, *rare, *slow)), lambda: self._now or time.time()
        )
        self._told = (0, "")

    def past(self, times: Sequence[float]) -> list[Child]:
        """All series of an instance at these times (Unix seconds, rising); may be asked once, before `serve`."""
        values: dict[str, list[float]] = {}
        for at in times:
            self._now = at
            for line in self._one.scrape().splitlines():
                series, _, value = line.rpartition(" ")
                values.setdefault(series, []).append(float(value))
        self._now = None
        return [_child(series, found) for series, found in values.items()]

    def target(self, number: int) -> dict[str, str]:
        """The labels of all series of an instance."""
        return {**LABELS, "job": self.job, "instance": name(number)}

    @contextlib.contextmanager
    def serve(self) -> Iterator[dict[str, Any]]:
        """Answer scrapes of all instances meanwhile, by the scrape config that is given."""
        with serving("fleet", [Route(self._path, self._answer)]) as address:
            yield {
                "job_name": self.job,
                "metrics_path": self._path,
                "static_configs": [{"targets": [name(number) for number in range(self.instances)], "labels": LABELS}],
                "relabel_configs": [
                    {"source_labels": ["__address__"], "target_label": "instance"},
                    {"target_label": "__address__", "replacement": address.removeprefix("http://")},
                ],
            }

    async def _answer(self, _: Request) -> PlainTextResponse:
        second = int(time.time())
        if self._told[0] != second:
            self._told = (second, self._one.scrape())
        return PlainTextResponse(self._told[1])


def _child(series: str, values: Sequence[float]) -> Child:
    labels = dict(re.findall(r'(\w+)="([^"]*)"', series))
    return Child(series.partition("{")[0], labels, np.array(values))
