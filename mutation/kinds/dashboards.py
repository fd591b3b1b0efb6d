"""Mistakes in what a panel looks like."""

from __future__ import annotations

from mutation.places import Operator
from mutation.replacements import other, to, without_one

BOARDS = "mixin/dashboards/[!d]*.libsonnet"
STYLES = ("statuses", "rejections", "errorTypes", "cancellations", "loadOutcomes", "modelStages", "timeoutStages")


OPERATORS = (
    Operator(
        "unit",
        BOARDS,
        r"(?<=unit: ')(s|bytes|percentunit|none|reqpm|short)(?=')",
        lambda m: [
            {
                "s": "ms",
                "bytes": "bits",
                "percentunit": "percent",
                "none": "s",
                "reqpm": "reqps",
                "short": "percentunit",
            }[m[0]]
        ],
    ),
    Operator("unit", BOARDS, r"(?<=unit: ')((?:pre|suf)fix: ?[^']+)(?=')", to("s")),
    Operator(
        "unit",
        "mixin/lib/*.libsonnet",
        r"(?:unit: |seconds: |bytes: |requests: )'(s|bytes|reqpm|percentunit)'",
        lambda m: [
            m[0].replace(
                f"'{m[1]}'",
                "'" + {"s": "ms", "bytes": "bits", "reqpm": "reqps", "percentunit": "percent"}[m[1]] + "'",
            )
        ],
    ),
    Operator("legend", BOARDS, r"(?<=')([\w ]*)\{\{(\w+)\}\}", lambda m: [m[1] or "x", m[1] + "{{job}}"]),
    Operator("quantile", "mixin/lib/shown.libsonnet", r"(?<='p)(50|95|99)(?=')", other(("50", "95", "99"))),
    Operator("quantile", "mixin/lib/shown.libsonnet", r"\(0\.(95)?(?=[',])", lambda m: ["(0.5" if m[1] else "(0.0"]),
    Operator(
        "grouping of a panel",
        BOARDS,
        r"(show\.(?:perMinute|quantiles|mean)\('\w+', )(\['\w+'\]|\[\]|'\w+')",
        lambda m: [
            m[1] + {"[": "[]", "'": "'route'"}[m[2][0]]
            if m[2] not in ("[]", "'route'")
            else m[1] + ("['route']" if m[2] == "[]" else "'status'")
        ],
    ),
    Operator("panel dropped", BOARDS, r", '\w+'(?=[,\]])", to("")),
    Operator("panels swapped", BOARDS, r"(?<=\[)('\w+'), ('\w+')(?=[,\]])(?=.*\],\n)", to(r"\2, \1")),
    Operator("query dropped", BOARDS, r"^ +show\.query\(.*\),\n", to("")),
    Operator(
        "threshold of a panel",
        BOARDS,
        r"\bstyle\.(below|warnBelow|above|warnFrom|badFrom)\b",
        lambda m: [
            "style."
            + {
                "below": "above",
                "above": "below",
                "warnBelow": "warnFrom",
                "warnFrom": "badFrom",
                "badFrom": "warnFrom",
            }[m[1]]
        ],
    ),
    Operator(
        "threshold of a panel",
        "mixin/lib/*.libsonnet",
        r"\bstyle\.(below|warnBelow)\b",
        lambda m: ["style." + {"below": "above", "warnBelow": "warnFrom"}[m[1]]],
    ),
    Operator(
        "threshold of a panel",
        "mixin/lib/style.libsonnet",
        r"steps\('(good|bad|warning)'",
        lambda m: [f"steps('{'good' if m[1] != 'good' else 'bad'}'"],
    ),
    Operator("limit of a panel", BOARDS, r"limits: \{ .*? \},?", to("")),
    Operator(
        "colours",
        BOARDS,
        r"\bstyle\.(?:statuses|rejections|errorTypes|cancellations|loadOutcomes|modelStages|timeoutStages|processingStages)\b",
        other(["style." + n for n in (*STYLES, "processingStages")]),
    ),
    Operator("stacking", BOARDS, r"^ +(?:stack|whole|log): true,\n", to("")),
    Operator(
        "data source",
        "mixin/{lib,dashboards}/*.libsonnet".replace("{lib,dashboards}", "lib"),
        r"^ +datasource: (?:panel\.)?datasource,\n",
        to(""),
    ),
    Operator(
        "variable",
        "mixin/lib/dashboard.libsonnet",
        r"(?<=allValue: )[^\n]+(?=,)|(?<=multi: )true|(?<=includeAll: )true|(?<=refresh: )2",
        lambda m: [{"true": "false", "2": "1"}.get(m[0], "'.*'")],
    ),
    Operator("variable", BOARDS, r"local variables = \[('\w+'(?:, '\w+')*)\]", without_one),
    Operator(
        "filter of a link",
        BOARDS,
        r"log\.(slow|chosenStatus|withStatus\([^)]*\))",
        lambda m: ["log.chosenStatus" if m[1] == "slow" else "log.slow"],
    ),
    Operator(
        "link",
        BOARDS,
        r"show\.linkTo\('(\w+)'",
        lambda m: [m[0].replace(m[1], "inference" if m[1] != "inference" else "slo")],
    ),
)
