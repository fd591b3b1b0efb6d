"""What people write in the place of something else."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mutation.places import Replace


def to(*texts: str) -> Replace:
    """Always the same texts; `\\1` in them is the first group."""
    return lambda match: [match.expand(text) for text in texts]


def swap(*pairs: tuple[str, str]) -> Replace:
    """In the match, one text for another, each way."""
    table = dict(pairs) | {new: old for old, new in pairs}
    return lambda match: [table[match[0]]] if match[0] in table else []


def without_one(match: re.Match[str]) -> Iterable[str]:
    """A list, each time without another one of its items."""
    items = re.split(r",\s*", match[1])
    return [match[0].replace(match[1], ", ".join(items[:n] + items[n + 1 :]), 1) for n in range(len(items))]


def times(*factors: float) -> Replace:
    """A number in quotes, multiplied."""
    return lambda match: [match[0].replace(match["n"], f"{float(match['n']) * factor:.10g}") for factor in factors]


_LADDER = ("30s", "1m", "2m", "3m", "5m", "8m", "10m", "15m", "30m", "1h", "2h", "6h", "1d", "3d")


def shorter_or_longer(match: re.Match[str]) -> Iterable[str]:
    """The next duration on a ladder that people use, both ways."""
    if (text := match["d"]) not in _LADDER:
        return []
    at = _LADDER.index(text)
    near = [_LADDER[i] for i in (at - 1, at + 1) if 0 <= i < len(_LADDER)]
    start, end = match.start("d") - match.start(), match.end("d") - match.start()
    return [match[0][:start] + new + match[0][end:] for new in near]


def other(names: Iterable[str]) -> Replace:
    """The next name of a list, which begins again after the last."""
    ring = list(names)
    return lambda match: [ring[(ring.index(match[0]) + 1) % len(ring)]] if match[0] in ring else []
