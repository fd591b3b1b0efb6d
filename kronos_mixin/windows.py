"""Windows of the rules against the pace of samples: a window without enough of them is empty, and says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str, ...]

SCRAPES, EVALUATIONS = 4, 2
"""How many scrapes, and evaluations, a window must hold, so that one may fail."""

LOOKBACK = 300.0
"""Seconds after which Prometheus takes a series without a new sample to be gone."""

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_WINDOWS = {"rateWindow", "window", "sparseWindow", "guardWindow", "long", "short"}


def seconds(duration: str) -> float:
    """A duration of Prometheus, such as 1h30m, in seconds."""
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)(ms|[ywdhms])", duration))


def duration(number: float) -> str:
    """A number of seconds as a duration of Prometheus."""
    text, left = "", round(number)
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, int(_SECONDS[unit]))
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def too_short(config: Mapping[str, Any], scrape: str, evaluation: str) -> Iterator[tuple[Path, str]]:
    """The windows in ``_config.kronos`` that hold too few samples, by knob, each with a sentence about its value.

    ``scrape`` and ``evaluation`` are how often targets are scraped and rules evaluated.
    """
    for path, window in _windows(config, ("kronos",)):
        for count, pace, what in ((SCRAPES, scrape, "scrapes"), (EVALUATIONS, evaluation, "evaluations of rules")):
            if seconds(window) < count * seconds(pace):
                needed = duration(count * seconds(pace))
                yield (
                    path,
                    f"is {window}: must hold {count} {what}, which are {pace} apart, and so be at least {needed}",
                )
                break


def gone_between(pace: str) -> str:
    """What is wrong with samples so far apart that a series is gone before the next one; empty if nothing is."""
    if 2 * seconds(pace) <= LOOKBACK:
        return ""
    half = duration(LOOKBACK / 2)
    return f"is {pace}: must be at most {half}, for a series without a sample for {duration(LOOKBACK)} counts as gone"


def _windows(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every window below a knob, but those of alerts that are off."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, Mapping) and value.get("enabled") is False:
        return
    for key, item in items:
        if key in _WINDOWS and isinstance(item, str):
            yield (*path, str(key)), item
        else:
            yield from _windows(item, (*path, str(key)))
