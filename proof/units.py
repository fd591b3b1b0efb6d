"""Numbers as Grafana prints them: `12.3 ms`, `45.6%`, `1.21 GiB`, `0.500 req/s`."""

from __future__ import annotations

import math
from collections.abc import Sequence

_COUNTS = {
    "cpm": "c/m",
    "cps": "c/s",
    "opm": "ops/m",
    "ops": "ops/s",
    "reqpm": "req/m",
    "reqps": "req/s",
}
# Each with its size in the unit before it; the first in the unit itself.
_SECONDS = [("ns", 1e-9), ("µs", 1000), ("ms", 1000), ("s", 1000), ("mins", 60), ("hours", 60), ("days", 24)]
_BYTES = [("B", 1), *((f"{prefix}iB", 1024) for prefix in "KMGTP")]
_THOUSANDS = [("", 1), ("K", 1000), ("Mil", 1000), ("Bil", 1000)]


def formatted(value: float, unit: str) -> str:
    """A value in a unit, by Grafana's name of it: "s", "bytes", "percentunit", "reqps", ...

    The name of a unit that is unknown here is printed behind the number.
    """
    if not math.isfinite(value):
        return f"{value}"
    if unit == "percentunit":
        return f"{_number(value * 100)}%"
    if unit == "s":
        return " ".join(_scaled(value, _SECONDS)) if value else "0 s"
    if unit == "bytes":
        return " ".join(_scaled(value, _BYTES))
    if unit == "short":
        return " ".join(_scaled(value, _THOUSANDS)).strip()
    kind, _, text = unit.partition(":")
    if kind == "prefix":
        return f"{text}{_number(value)}"
    if kind == "suffix":
        return f"{_number(value)} {text}"
    if unit == "none":
        return _number(value)
    return f"{''.join(_scaled(value, _THOUSANDS))} {_COUNTS.get(unit, unit)}"


def _scaled(value: float, units: Sequence[tuple[str, float]]) -> tuple[str, str]:
    """The number, and the name of the largest unit that leaves it at 1 or more."""
    (name, size), *larger = units
    value /= size
    for next_name, factor in larger:
        if abs(value) < factor:
            break
        name, value = next_name, value / factor
    return _number(value), name


def _number(value: float) -> str:
    """Three significant digits, and none behind the point of a whole number."""
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
