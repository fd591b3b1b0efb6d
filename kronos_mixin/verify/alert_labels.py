"""Check of what a ruler makes of the labels of our alerts before it sends them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kronos_mixin.verify.check import Check, Finding, Severity, Unasked
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed

SEVERITIES = ("critical", "warning", "info")
"""Those of our alerts, the worst first."""
_REPLICA = re.compile(r"(^|_)replica$")


def _relabelled(stack: Stack) -> Iterator[Finding]:
    try:
        found = stack.alerts
    except (ValueError, KeyError, TypeError) as error:
        raise Unasked(f"the labels of alerts can't be told: {error}") from error
    dropped = sorted({one.name for one in found if one.sent is None})
    if dropped:
        yield Finding(
            f"relabelling drops {listed(dropped)} before they are sent",
            "correct alert_relabel_configs under alerting in prometheus.yml",
        )
    changed: dict[tuple[str, str, Severity], set[str]] = {}
    for one in found:
        for label in ("alertname", "severity"):
            before, after = one.labels.get(label, ""), (one.sent or {}).get(label, "")
            if one.sent is not None and before != after:
                changed.setdefault((label, after, _loss(label, before, after)), set()).add(one.name)
    for (label, after, severity), names in sorted(changed.items()):
        yield Finding(
            f"relabelling changes the {label} to {after or 'nothing'} on {listed(sorted(names))}",
            "correct alert_relabel_configs under alerting, or external_labels, in prometheus.yml",
            why="Routes and inhibitions go by these labels.",
            severity=severity,
        )

    replicas = sorted({name for one in found for name in one.sent or () if _REPLICA.search(name)})
    if replicas:
        yield Finding(
            f"alerts are sent with the label {listed(replicas)}, which tells one replica of Prometheus from another",
            f"drop it before: alert_relabel_configs: [{{action: labeldrop, regex: {replicas[0]}}}] under alerting",
            why="To Alertmanager the alert of each replica is another one, and everybody hears of each.",
            severity=Severity.warning,
        )


def _loss(label: str, before: str, after: str) -> Severity:
    """How bad a change is: names of severities of their own are the business of those who have them."""
    known = label == "severity" and before in SEVERITIES and after in SEVERITIES
    raised = known and SEVERITIES.index(after) < SEVERITIES.index(before)
    renamed = label == "severity" and after and after not in SEVERITIES
    return Severity.note if raised or renamed else Severity.error


CHECKS = (
    Check(
        name="alerts-relabelled",
        looks_at="what relabelling and external labels make of our alerts",
        finds="alerts that are dropped before they are sent; another alertname or severity; a label of replicas",
        why="What is dropped on the way tells nobody.",
        run=_relabelled,
        after=("rulers-answer",),
    ),
)
