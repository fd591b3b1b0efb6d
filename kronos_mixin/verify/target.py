"""The targets of the job, as a server with or without an API for them tells."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kronos_mixin import windows
from kronos_mixin.verify.api import Sample


@dataclass(frozen=True)
class Target:
    """One target. What the server does not tell is None, or empty; times are in seconds."""

    labels: Mapping[str, str]
    up: bool | None
    """None: not scraped yet."""
    url: str = ""
    error: str = ""
    interval: float | None = None
    timeout: float | None = None
    pool: str = ""
    """The job's name in the configuration, before any relabelling."""

    @property
    def name(self) -> str:
        """What a person knows it by."""
        return self.labels.get("instance", "") or self.url


def of_api(told: Iterable[Mapping[str, Any]], chosen: Callable[[Mapping[str, str]], bool]) -> tuple[Target, ...]:
    """The chosen ones of the targets that `/api/v1/targets` tells. VictoriaMetrics tells no intervals of its own."""
    return tuple(
        Target(
            one["labels"],
            {"up": True, "down": False}.get(one.get("health", "")),
            one.get("scrapeUrl", ""),
            one.get("lastError", ""),
            _seconds(one, "scrapeInterval", "__scrape_interval__"),
            _seconds(one, "scrapeTimeout", "__scrape_timeout__"),
            one.get("scrapePool", ""),
        )
        for one in told
        if chosen(one["labels"])
    )


def of_series(up: Iterable[Sample]) -> tuple[Target, ...]:
    """Targets by their series `up` over a while, where there is no API for them; the interval is as seen."""
    return tuple(
        Target(
            {label: value for label, value in samples[-1].labels.items() if label != "__name__"},
            samples[-1].value == 1,
            interval=pace([sample.timestamp for sample in samples]),
        )
        for samples in by_series(up)
    )


def by_series(samples: Iterable[Sample]) -> list[list[Sample]]:
    """The samples of each series, in their order."""
    found: dict[frozenset[tuple[str, str]], list[Sample]] = {}
    for sample in samples:
        found.setdefault(frozenset(sample.labels.items()), []).append(sample)
    return list(found.values())


def pace(times: Sequence[float], least: int = 3) -> float | None:
    """How many seconds samples are apart, without jitter; None if it is fewer than `least` times that they are."""
    apart = [later - earlier for earlier, later in itertools.pairwise(times)]
    if len(apart) < least:
        return None
    median = statistics.median(apart)
    return float(round(median)) if median > 2 else round(median, 1)


def _seconds(told: Mapping[str, Any], key: str, discovered: str) -> float | None:
    text = told.get(key) or told.get("discoveredLabels", {}).get(discovered)
    return windows.seconds(text) if text else None
