"""What `alert_relabel_configs` of a Prometheus make of the labels of an alert."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Labels = Mapping[str, str]


def relabelled(labels: Labels, rules: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], int | None]:
    """The labels after the rules, and the place of the rule that drops the alert; None: it is sent.

    Rules are as `/api/v1/status/config` shows them. One whose pattern this program can't read is passed over, as are
    actions that no alert needs (`hashmod`).
    """
    now = dict(labels)
    for place, rule in enumerate(rules):
        action = str(rule.get("action", "replace")).lower()
        value = str(rule.get("separator", ";")).join(now.get(name, "") for name in rule.get("source_labels") or ())
        try:
            pattern = re.compile(str(rule.get("regex", "(.*)")))
        except re.error:
            continue
        match = pattern.fullmatch(value)
        if action in {"drop", "keep"} and bool(match) == (action == "drop"):
            return now, place
        if action in {"dropequal", "keepequal"}:
            same = value == now.get(str(rule.get("target_label")), "")
            if same == (action == "dropequal"):
                return now, place
        elif action in {"labeldrop", "labelkeep"}:
            now = {
                name: held for name, held in now.items() if bool(pattern.fullmatch(name)) == (action == "labelkeep")
            }
        elif action == "labelmap":
            template = _template(str(rule.get("replacement", "$1")))
            now |= {found.expand(template): held for name, held in now.items() if (found := pattern.fullmatch(name))}
        elif action in {"lowercase", "uppercase"}:
            now[str(rule["target_label"])] = value.lower() if action == "lowercase" else value.upper()
        elif action == "replace" and match:
            target = match.expand(_template(str(rule.get("target_label", ""))))
            now[target] = match.expand(_template(str(rule.get("replacement", "$1"))))
    return {name: held for name, held in now.items() if held}, None


def _template(text: str) -> str:
    """A replacement as Go writes it (`$1`, `${1}`, `${name}`) in Python's words."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", r"\\g<\1\2>", text.replace("\\", "\\\\"))
