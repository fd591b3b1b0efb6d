"""The kinds of mistakes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from kronos_mixin.contract import Contract, load_contract
from mutation.places import Operator, Replace

RULES = "mixin/rules/records.libsonnet"
ALERTS = "mixin/alerts/*.libsonnet"
BOARDS = "mixin/dashboards/[!d]*.libsonnet"
CONFIG = "mixin/config.libsonnet"
CONTRACT = "mixin/metrics.json"
ALERTMANAGER = "mixin/alertmanager.libsonnet"
SCRAPE = "mixin/scrape.libsonnet"
PROMQL = "mixin/[rald]*/*.libsonnet"
JSONNET = "mixin/**/*.libsonnet"
RUNBOOKS = "mixin/runbooks/K*.md"


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


def _next_alert(match: re.Match[str]) -> Iterable[str]:
    """The name of the next alert of the same file; both then have it, or the second is lost."""
    names = re.findall(rf"^{match[1]}(Kronos\w+)(?=: [{{\[])", match.string, re.MULTILINE)
    return [match[1] + names[(names.index(match[2]) + 1) % len(names)]]


STATUSES = ("success", "error", "timeout", "overloaded", "unavailable", "cancelled")
KINDS = ("failed", "slow", "timedOut", "slowInference")
RATES = ("eligible", "timed", "inferences")
UNITS = ("s", "bytes", "percentunit", "none", "reqpm")
STYLES = ("statuses", "rejections", "errorTypes", "cancellations", "loadOutcomes", "modelStages", "timeoutStages")

OPERATORS = (
    # Expressions.
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
    # Alerts.
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
    # Dashboards.
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
    # Alertmanager and the scrape job.
    Operator("inhibition lost", ALERTMANAGER, r"^ +mute(?:Slower)?\(.*\) ?\+?\n", to("")),
    Operator("inhibition", ALERTMANAGER, r"'Kronos\w+', (?=')|, 'Kronos\w+'(?=\])", to("")),
    Operator("inhibition", ALERTMANAGER, r"^ +'Kronos\w+',\n", to("")),
    Operator("inhibition", ALERTMANAGER, r"(?<=equal: )targetLabels \+ labels", to("targetLabels", "labels")),
    Operator(
        "inhibition", ALERTMANAGER, r"(?<=\b)(source|target)_matchers", swap(("source_matchers", "target_matchers"))
    ),
    Operator("inhibition", ALERTMANAGER, r", \['route'\](?=\))", to("")),
    Operator(
        "inhibition",
        ALERTMANAGER,
        r"(?<=\[index \+ )1(?=:)|\|\| severity\(burns\[index\]\) == 'critical'|severity\(other\) != 'critical' \|\| ",
        lambda m: ["0" if m[0] == "1" else ""],
    ),
    Operator(
        "route",
        ALERTMANAGER,
        r"receiver: '([\w-]+)'",
        lambda m: [
            "receiver: '"
            + {
                "elsewhere": "kronos-page",
                "kronos-info": "kronos-ticket",
                "kronos-ticket": "kronos-info",
                "kronos-page": "kronos-ticket",
            }[m[1]]
            + "'"
        ],
    ),
    Operator(
        "route",
        ALERTMANAGER,
        r"severity=\"(critical|warning)\"",
        lambda m: [f'severity="{"info" if m[1] == "warning" else "page"}"'],
    ),
    Operator("route", ALERTMANAGER, r"Kronos\.\+", to("kronos.+")),
    Operator(
        "route", ALERTMANAGER, r"(?:group_wait|group_interval|repeat_interval): '(?P<d>\w+)'", shorter_or_longer
    ),
    Operator("route", ALERTMANAGER, r"(?<=group_by: )targetLabels", to("['alertname']", "['job']")),
    Operator("scrape", SCRAPE, r"honor_labels: true", to("honor_labels: false")),
    Operator("scrape", SCRAPE, r"(?<=action: ')(keep|drop)", swap(("keep", "drop"))),
    Operator("scrape", SCRAPE, r"Succeeded\|Failed", to("Succeeded")),
    Operator(
        "scrape",
        SCRAPE,
        r"scrape\.(interval|timeout|path|scheme)(?=,)",
        swap(("scrape.interval", "scrape.timeout"), ("scrape.path", "scrape.scheme")),
    ),
    Operator(
        "scrape",
        SCRAPE,
        r"scrape\.tls\.(\w+)",
        lambda m: [
            "scrape.tls."
            + {"caFile": "certFile", "certFile": "keyFile", "keyFile": "caFile", "serverName": "caFile"}[m[1]]
        ],
    ),
    Operator("scrape", SCRAPE, r"target_label: '(namespace|pod)'", lambda m: [m[0].replace(m[1], "instance")]),
    Operator("scrape", SCRAPE, r"__meta_kubernetes_(\w+)", lambda m: [m[0] + "_name"]),
    Operator(
        "scrape",
        CONFIG,
        r"(?<=path: ')/v1/metrics|(?<=timeout: ')10s|(?<=interval: ')15s",
        lambda m: [{"/v1/metrics": "/metrics", "10s": "30s", "15s": "1m"}[m[0]]],
    ),
    # The contract.
    Operator(
        "type of a metric",
        CONTRACT,
        r'"type": "(counter|gauge|histogram)"',
        lambda m: [f'"type": "{"gauge" if m[1] != "gauge" else "counter"}"'],
    ),
    Operator(
        "unit of a metric",
        CONTRACT,
        r'(?<="unit": ")(seconds|bytes|requests|candles|instances|series)(?=")',
        lambda m: [{"seconds": "bytes", "bytes": "seconds"}.get(m[0], "seconds")],
    ),
    Operator(
        "name of a metric", CONTRACT, r'^    "kronos_\w+(?=": \{)', lambda m: [m[0].replace("kronos_", "kronos_the_")]
    ),
    Operator("label renamed", CONTRACT, r'(?<="labels": \{)"(\w+)"', to(r'"the_\1"')),
    Operator(
        "label lost",
        CONTRACT,
        r'"labels": \{"\w+": "\w+"(?:, ("\w+": "\w+"))?\}',
        lambda m: [f'"labels": {{{m[1] or ""}}}'],
    ),
    Operator("values of a label", CONTRACT, r'^      "[\w/]+": "[^"]*",?\n(?=      ")', to("")),
    Operator(
        "values of a label",
        CONTRACT,
        r'(?<=": ")(api_route|route|status|admitted_status|model_stage|processing_stage)(?="[,}])',
        other(("api_route", "route", "status", "admitted_status", "model_stage", "processing_stage")),
    ),
    Operator(
        "buckets",
        CONTRACT,
        r'(?<="buckets": ")\w+',
        other(("latency", "queue_wait", "processing", "candles", "horizon", "candle", "batch", "bytes")),
    ),
    Operator("buckets", CONTRACT, r'"(5\.0|30\.0|1\.0|300\.0|65536\.0|0\.5)", ', to("")),
    Operator("rule group", CONTRACT, r'^ +"rule_group": "[\w-]+",\n', to("")),
    Operator(
        "external metric", CONTRACT, r'"(?:process|python|scrape)_\w+": \{', lambda m: [m[0].replace("_", "_the_", 1)]
    ),
    # Runbooks.
    Operator("runbook", RUNBOOKS, r"^## (.+)$", lambda m: [f"## About {m[1].lower()}"]),
    Operator("runbook", RUNBOOKS, r"\b(job_\w+:|job:)(kronos_\w+):(\w+)\b", lambda m: [f"{m[1]}{m[2]}s:{m[3]}"]),
    Operator("runbook", RUNBOOKS, r"(?<=[{ ,])(route|status|instance|reason|stage|type)(?==[~\"])", to("kind")),
    Operator("runbook", RUNBOOKS, r"^# Kronos\w+", to("# Kronos")),
)
