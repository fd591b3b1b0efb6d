"""Which alerts there are, and which rules an alert needs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from kronos_mixin import promql
from kronos_mixin.jsonnet import Mixin


def names(mixin: Mixin) -> set[str]:
    return {rule["alert"] for group in mixin.alerts for rule in group["rules"]}


def read_by(mixin: Mixin, alerts: Collection[str]) -> frozenset[str]:
    """All series that alerts read, directly or through recorded series."""
    recorded = {rule["record"]: rule["expr"] for group in mixin.rules for rule in group["rules"]}
    waiting = [rule["expr"] for group in mixin.alerts for rule in group["rules"] if rule["alert"] in alerts]
    found: set[str] = set()
    while waiting:
        new = promql.read(waiting.pop(), {}).series - found
        waiting += [recorded[name] for name in new & recorded.keys()]
        found |= new
    return frozenset(found)


def needed(mixin: Mixin, alerts: Collection[str]) -> Mixin:
    """The mixin with these alerts only, and the rules that they need: others can't make a difference to them."""
    read = read_by(mixin, alerts)

    def kept(groups: list[dict[str, Any]], name: str, names: Collection[str]) -> list[dict[str, Any]]:
        found = [{**group, "rules": [rule for rule in group["rules"] if rule[name] in names]} for group in groups]
        return [group for group in found if group["rules"]]

    return replace(mixin, rules=kept(mixin.rules, "record", read), alerts=kept(mixin.alerts, "alert", alerts))
