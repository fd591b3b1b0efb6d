"""Mistakes in what an alert is: its knobs, its texts, its links."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mutation.places import Operator
from mutation.replacements import other, shorter_or_longer, swap, times, to

ALERTS = "mixin/alerts/*.libsonnet"
CONFIG = "mixin/config.libsonnet"


def _next_alert(match: re.Match[str]) -> Iterable[str]:
    """The name of the next alert of the same file; both then have it, or the second is lost."""
    names = re.findall(rf"^{match[1]}(Kronos\w+)(?=: [{{\[])", match.string, re.MULTILINE)
    return [match[1] + names[(names.index(match[2]) + 1) % len(names)]]


OPERATORS = (
    Operator(
        "threshold",
        CONFIG,
        r"\b(?:threshold|minimum|queue|guardCount|target|budgetLow|factor): '(?P<n>[\d.]+)'",
        times(0.9, 1.1, 10),
    ),
    Operator("for", CONFIG, r"'for': '(?P<d>\w+)'", shorter_or_longer),
    Operator("keeps firing", CONFIG, r"keepFiringFor: '(?P<d>\w+)'", shorter_or_longer),
    Operator("keeps firing", CONFIG, r"keepFiringFor: '0s'", to("keepFiringFor: '5m'")),
    Operator(
        "window of a knob",
        CONFIG,
        r"\b(?:window|memory|start|rateWindow|sparseWindow|guardWindow|long|short): '(?P<d>\w+)'",
        shorter_or_longer,
    ),
    Operator("severity", CONFIG, r"(?<=severity: ')(critical|warning|info)", other(("critical", "warning", "info"))),
    Operator("alert switched", CONFIG, r"(?<=enabled: )(true|false)(?=,)", swap(("true", "false"))),
    Operator("alert dropped", ALERTS, r"^( +)Kronos\w+: [{\[]\n(?:.*\n)+?\1[}\]],\n", to("")),
    Operator("alert dropped", ALERTS, r"^ +Kronos\w+: burns\(.*\),\n", to("")),
    Operator("alerts swapped", ALERTS, r"^( +)(Kronos\w+)(?=: [{\[])", _next_alert),
    Operator(
        "annotation",
        ALERTS,
        r"\bat\.(instance|job|route)\b",
        lambda m: ["at." + {"instance": "job", "job": "instance", "route": "job"}[m[1]]],
        prose=True,
    ),
    Operator("annotation", ALERTS, r"(?<=\$labels\.)\w+", to("name"), prose=True),
    Operator(
        "annotation",
        ALERTS,
        r"\$value \| (\w+)",
        lambda m: [
            "$value | "
            + {
                "humanizePercentage": "humanizeDuration",
                "humanizeDuration": "humanizePercentage",
                "humanize": "humanizePercentage",
            }[m[1]]
        ],
        prose=True,
    ),
    Operator(
        "annotation",
        "mixin/lib/text.libsonnet",
        r"\$labels\.(job|route|instance)",
        lambda m: ["$labels." + {"job": "instance", "route": "job", "instance": "job"}[m[1]]],
        prose=True,
    ),
    Operator(
        "annotation",
        "mixin/alerts/alerts.libsonnet",
        r"^ +(?:summary|description|runbook_url): .*\n",
        to(""),
        prose=True,
    ),
    Operator(
        "link of an alert", ALERTS, r"(?<=dashboard: ')\w+", other(("overview", "inference", "instances", "slo"))
    ),
    Operator("link of an alert", ALERTS, r"variables: q\.targetLabels \+ \['\w+'\]", to("variables: q.targetLabels")),
    Operator("label of an alert", ALERTS, r"^ +labels: .*\n", to("")),
)
