"""Mistakes in expressions: in rules, alerts and queries of panels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kronos_mixin.contract import Contract, load_contract
from mutation.places import Operator
from mutation.replacements import other, shorter_or_longer, swap, to, without_one

ALERTS = "mixin/alerts/*.libsonnet"
BOARDS = "mixin/dashboards/[!d]*.libsonnet"
PROMQL = "mixin/[rald]*/*.libsonnet"
RULES = "mixin/rules/records.libsonnet"
JSONNET = "mixin/**/*.libsonnet"
STATUSES = ("success", "error", "timeout", "overloaded", "unavailable", "cancelled")
KINDS = ("failed", "slow", "timedOut", "slowInference")
RATES = ("eligible", "timed", "inferences")


def _alike(contract: Contract) -> Mapping[str, str]:
    """For each metric another one of its type, with the same labels if there is one."""
    found = {}
    for name, metric in contract.metrics.items():
        same = [m for m in contract.metrics.values() if m.type == metric.type and m.name != name]
        same.sort(key=lambda m: (m.labels != metric.labels, m.unit != metric.unit))
        found[name] = same[0].name
    return found


def _replaced_metric(match: re.Match[str]) -> Iterable[str]:
    alike = _alike(load_contract())
    return [match[0].replace(match[1], alike[match[1]])] if match[1] in alike else []


OPERATORS = (
    Operator(
        "comparison turned",
        PROMQL,
        r"(?<= )(>=|<=|==|>|<)(?= (?:'|bool|\d))",
        swap((">", "<"), (">=", "<="), ("==", "!=")),
    ),
    Operator("edge of a comparison", PROMQL, r"(?<= )(>=|<=|>|<)(?= (?:'|bool|\d))", swap((">", ">="), ("<", "<="))),
    Operator("guard dropped", PROMQL, r" > 0(?=\)|'| or)", to("")),
    Operator("and for unless", PROMQL, r"(?<=[' )])(and|unless)(?= (?:'|on|\())", swap(("and", "unless"))),
    Operator("and for or", PROMQL, r"(?<=[' )])(and|or)(?= (?:'|on|\())", swap(("and", "or"))),
    Operator(
        "condition dropped",
        ALERTS,
        r" (?:and|unless) ' \+ q\.[\w.]+\((?:[^()]|\([^()]*\))*\)(?: \+ ' [<>=]+ \d'?)?",
        to("'"),
    ),
    Operator(
        "sum for max",
        PROMQL,
        r"\bq\.(sum|max|min|avg|count|group)(?=\()",
        lambda m: [
            "q." + {"sum": "max", "max": "min", "min": "max", "avg": "max", "count": "sum", "group": "count"}[m[1]]
        ],
    ),
    Operator(
        "average for maximum",
        PROMQL,
        r"\b(avg|max|min|sum|last)_over_time(?=\()",
        lambda m: [{"avg": "max", "max": "avg", "min": "max", "sum": "count", "last": "max"}[m[1]] + "_over_time"],
    ),
    Operator(
        "averaged for highest",
        BOARDS,
        r"\bshow\.(averaged|highest|now)(?=\()",
        swap(("show.averaged", "show.highest"), ("show.now", "show.averaged")),
    ),
    Operator(
        "rate for increase",
        PROMQL,
        r"\b(rate|increase|changes|rawRate)(?=\()",
        lambda m: [{"rate": "increase", "increase": "rate", "changes": "resets", "rawRate": "raw"}[m[1]]],
    ),
    Operator("by narrowed", PROMQL, r"\bq\.\w+\(\s*\[('\w+'(?:, '\w+')*)\]", without_one),
    Operator(
        "by widened", PROMQL, r"(?<=\bq\.)(sum|max|avg|count|group)\(\[(?=\])", to(r"\1(['instance'", r"\1(['route'")
    ),
    Operator(
        "by widened",
        PROMQL,
        r"(?<=\bq\.)(sum|max|avg|count|group)\(\s*\[(?=')",
        to(r"\1(['instance', ", r"\1(['status', "),
    ),
    Operator(
        "on() changed", PROMQL, r"q\.on\(\[('\w+')?\]\)", lambda m: ["q.on(['route'])"] if not m[1] else ["q.on([])"]
    ),
    Operator(
        "on() dropped", PROMQL, r" ' \+ q\.on\([^)]*\)(?: \+ ')?", lambda m: [" " if m[0].endswith("'") else " '"]
    ),
    Operator("matcher lost", PROMQL, r", \{ (?:status|le|outcome|route): (?:[^{}]|\{[^{}]*\})* \}(?=\))", to("")),
    Operator("matcher lost", PROMQL, r"(?:status|le|route|outcome): [^,{}]+, (?=\w+:)", to("")),
    Operator("matcher turned", PROMQL, r"\{ not: ([^{}]+) \}", to(r"\1")),
    Operator(
        "value of a label",
        PROMQL,
        r"(?<=')(?:success|error|timeout|overloaded|unavailable|cancelled)(?=')",
        other(STATUSES),
    ),
    Operator("another metric", PROMQL, r"'(kronos_\w+)'", _replaced_metric),
    Operator(
        "another metric",
        PROMQL,
        r"'(process_resident_memory_bytes|process_open_fds|up|process_cpu_seconds_total)'",
        swap(
            ("'process_resident_memory_bytes'", "'kronos_memory_limit_bytes'"),
            ("'process_open_fds'", "'process_max_fds'"),
            ("'up'", "'kronos_model_ready'"),
            ("'process_cpu_seconds_total'", "'python_gc_collections_total'"),
        ),
    ),
    Operator(
        "another record", PROMQL, r"(?<=\brules\.)(failed|slow|timedOut|slowInference)(?=\.|,|\))", other(KINDS)
    ),
    Operator("another record", PROMQL, r"(?<=\brules\.)(eligible|timed|inferences)\b", other(RATES)),
    Operator("another record", PROMQL, r"(?<=\brules\.)(availability|latency)\b", swap(("availability", "latency"))),
    Operator(
        "another record",
        PROMQL,
        r"(?<=\.)(ratio|sparseRatio|bad|valid|seen|targets)\b",
        swap(("ratio", "sparseRatio"), ("bad", "valid"), ("seen", "targets")),
    ),
    Operator("recorded rule dropped", RULES, r"\{ \w+: \w+ \},? ?(?=[\]{])", to("")),
    Operator("recorded rule dropped", RULES, r"(?<=rules: )\[([\w, ]+)\]", without_one),
    Operator("recorded rule dropped", RULES, r"^ +\{ \w+: \w+ \},\n", to("")),
    Operator("order of rules", RULES, r"(\{ \w+: \w+ \}), (\{ \w+: \w+ \})", to(r"\2, \1")),
    Operator("factor", JSONNET, r"'(?:60|100) \* '", to("''")),
    Operator("factor", JSONNET, r"(?<= \* )1000\b|(?<== )86400\b", lambda m: [{"1000": "1", "86400": "3600"}[m[0]]]),
    Operator(
        "seconds of a unit",
        JSONNET,
        r"(?<=\bm: )60\b|(?<=\bh: )3600\b|(?<=\bd: )86400\b",
        lambda m: [{"60": "1", "3600": "60", "86400": "3600"}[m[0]]],
    ),
    Operator(
        "part over whole turned",
        PROMQL,
        r"q\.ratio\(([^,()]+(?:\([^()]*\))?[^,()]*), ([^,\n]+)\)(?=[,)\s])",
        to(r"q.ratio(\2, \1)"),
    ),
    Operator("window", PROMQL, r"\[(?P<d>\d+[smhdw])\]", shorter_or_longer),
    Operator("window", PROMQL, r"(?<=offset )1w", to("1d")),
    Operator("window", PROMQL, r"\bburn\.(long|short)\b", swap(("burn.long", "burn.short"))),
    Operator(
        "wrong knob",
        PROMQL,
        r"\b(?:config\.requests|knobs)\.(sparseWindow|guardWindow)\b",
        lambda m: [m[0].replace(m[1], {"sparseWindow": "guardWindow", "guardWindow": "sparseWindow"}[m[1]])],
    ),
    Operator(
        "wrong knob",
        PROMQL,
        r"config\.(rateWindow|evaluationInterval|slowEvaluationInterval|scrape\.interval)\b",
        lambda m: [
            "config."
            + {
                "rateWindow": "evaluationInterval",
                "evaluationInterval": "scrape.interval",
                "slowEvaluationInterval": "evaluationInterval",
                "scrape.interval": "evaluationInterval",
            }[m[1]]
        ],
    ),
    Operator(
        "wrong knob",
        PROMQL,
        r"(?<=\balerts\.)Kronos(HighErrorRate|HighLatency|HighTimeoutRate|HighMemoryUsage|HighGpuMemoryUsage|EventLoopBlocked|ModelStuck|Restarting|RestartingEverywhere|ServiceDown|TargetDown)(?=\.threshold|,|;)",
        other(
            [
                "Kronos" + n
                for n in (
                    "HighErrorRate",
                    "HighLatency",
                    "HighTimeoutRate",
                    "HighMemoryUsage",
                    "HighGpuMemoryUsage",
                    "EventLoopBlocked",
                    "ModelStuck",
                    "RestartingEverywhere",
                    "Restarting",
                    "ServiceDown",
                    "TargetDown",
                )
            ]
        ),
    ),
    Operator(
        "wrong knob",
        ALERTS,
        r"\bknobs\.(window|memory|threshold|minimum|start|queue)\b",
        lambda m: (
            [
                "knobs."
                + {
                    "window": "for",
                    "memory": "window",
                    "threshold": "minimum",
                    "minimum": "threshold",
                    "start": "window",
                    "queue": "threshold",
                }[m[1]]
            ]
            if m[1] != "window"
            else ["knobs['for']"]
        ),
    ),
)
