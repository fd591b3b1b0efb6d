"""Prometheus' relabelling, as it changes the labels of alerts before they are sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kronos_mixin.verify.matchers import Labels, pattern

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


def relabelled(labels: Labels, rules: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], int | None]:
    """The labels after the rules, and the place of the rule that drops the alert; None: it is sent.

    Rules are as `/api/v1/status/config` shows them: with defaults, and without what is empty. Raises ValueError for a
    regular expression that this program can't read.
    """
    changed = dict(labels)
    for place, rule in enumerate(rules):
        if not _apply(rule, changed):
            return changed, place
    return changed, None


def _apply(rule: Mapping[str, Any], labels: dict[str, str]) -> bool:
    """Change the labels by one rule; whether the alert is kept."""
    action = str(rule.get("action", "replace")).lower()
    value = str(rule.get("separator", "")).join(labels.get(name, "") for name in rule.get("source_labels") or ())
    target = str(rule.get("target_label") or "")
    match = _regex(rule).fullmatch(value)
    if action in {"keep", "drop"}:
        return (match is not None) == (action == "keep")
    if action in {"keepequal", "dropequal"}:
        return (value == labels.get(target, "")) == (action == "keepequal")
    if action.startswith("label"):
        _change_names(action, rule, labels)
    elif action == "replace" and match is not None:
        _set(labels, _expanded(target, match), _expanded(str(rule.get("replacement", "")), match))
    elif action in {"lowercase", "uppercase"}:
        _set(labels, target, value.lower() if action == "lowercase" else value.upper())
    elif action == "hashmod":
        digest = hashlib.md5(value.encode(), usedforsecurity=False).digest()
        _set(labels, target, str(int.from_bytes(digest[8:]) % int(rule["modulus"])))
    return True


def _change_names(action: str, rule: Mapping[str, Any], labels: dict[str, str]) -> None:
    """Change the labels whose names match: `labelmap`, `labeldrop` and `labelkeep`."""
    matches = {name: match for name in labels if (match := _regex(rule).fullmatch(name))}
    if action == "labelmap":
        for name, match in matches.items():
            _set(labels, _expanded(str(rule.get("replacement", "")), match), labels[name])
        return
    for name in [name for name in labels if (name in matches) == (action == "labeldrop")]:
        del labels[name]


def _regex(rule: Mapping[str, Any]) -> re.Pattern[str]:
    text = rule.get("regex")
    return pattern("(.*)" if text is None else str(text))


def _set(labels: dict[str, str], name: str, value: str) -> None:
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _expanded(template: str, match: re.Match[str]) -> str:
    """A replacement with its groups; one that the pattern does not have is empty."""

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return match[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    return _REFERENCE.sub(group, template)
