"""What a server says of the rules that it runs, against the rules as they were written."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kronos_mixin import promql, windows

_TOKENS = re.compile(r'"[^"]*"|[\w:.]+|[^\w\s"]+')
_SHOWN = 3


class Difference(NamedTuple):
    """One field of a rule that is not as it was written: `expr`, `for`, `labels.severity`, ..."""

    field: str
    written: str
    running: str

    def __str__(self) -> str:
        if self.field != "expr":
            return f"{self.field} is {self.running or 'missing'} instead of {self.written or 'missing'}"
        return "expr " + _change(promql.pretty(self.written), promql.pretty(self.running))


def differences(written: Mapping[str, Any], running: Mapping[str, Any]) -> Iterator[Difference]:
    """In what a rule of `/api/v1/rules` is not that of a file; layout and the spelling of durations do not matter."""
    name = written.get("alert", written.get("record"))
    if name != running["name"]:
        yield Difference("name", str(name), running["name"])
        return
    if not promql.equivalent(str(written["expr"]), running["query"]):
        yield Difference("expr", str(written["expr"]), running["query"])
    if "alert" in written:
        # vmalert has its own name for the last one; older servers than ours leave it out.
        for field, keys in (("for", ("duration",)), ("keep_firing_for", ("keepFiringFor", "keep_firing_for"))):
            has = next((float(running[key]) for key in keys if key in running), None)
            wants = windows.seconds(str(written.get(field, "0s")))
            if has is not None and has != wants:
                yield Difference(field, windows.duration(wants), windows.duration(has))
    for field in ("labels", "annotations"):
        one, other = written.get(field) or {}, running.get(field) or {}
        for key in sorted(one.keys() | other.keys()):
            if one.get(key) != other.get(key):
                yield Difference(f"{field}.{key}", str(one.get(key, "")), str(other.get(key, "")))


def _change(written: str, running: str) -> str:
    """The places in which two expressions differ."""
    one, other = _TOKENS.findall(written), _TOKENS.findall(running)
    changes = [
        _changed(" ".join(one[a:b]), " ".join(other[c:d]))
        for kind, a, b, c, d in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
        if kind != "equal"
    ]
    more = len(changes) - _SHOWN
    return ", ".join(changes[:_SHOWN]) + (f" and {more} more differences" if more > 0 else "")


def _changed(written: str, running: str) -> str:
    if not written:
        return f"has {running}, too"
    return f"has {running} instead of {written}" if running else f"lacks {written}"
