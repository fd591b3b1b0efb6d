"""How findings say numbers and lists."""

from __future__ import annotations

from collections.abc import Sequence

from kronos_mixin import windows
from kronos_mixin.verify.api import Sample

_SHOWN, _LONG = 3, 360


def listed(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def shortened(text: str) -> str:
    """A message, without its middle if it is long: it begins with who says it, and ends with what is wrong."""
    return text if len(text) <= _LONG else f"{text[: _LONG // 3]} ... {text[-2 * _LONG // 3 :]}"


def difference(samples: Sequence[Sample]) -> str:
    """The labels in which series differ, with their values."""
    values: dict[str, set[str]] = {}
    for label in {label for sample in samples for label in sample.labels}:
        values[label] = {sample.labels.get(label, "none") for sample in samples}
    return "; ".join(f"{label} ({', '.join(sorted(found))})" for label, found in values.items() if len(found) > 1)


def ago(seconds: float) -> str:
    """How long ago something was."""
    return f"{windows.duration(max(seconds, 0))} ago"
