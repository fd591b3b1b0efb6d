"""Mistakes in the contract and in runbooks."""

from __future__ import annotations

from mutation.places import Operator
from mutation.replacements import other, to

CONTRACT = "mixin/metrics.json"
RUNBOOKS = "mixin/runbooks/K*.md"


OPERATORS = (
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
    Operator("runbook", RUNBOOKS, r"^## (.+)$", lambda m: [f"## About {m[1].lower()}"]),
    Operator("runbook", RUNBOOKS, r"\b(job_\w+:|job:)(kronos_\w+):(\w+)\b", lambda m: [f"{m[1]}{m[2]}s:{m[3]}"]),
    Operator("runbook", RUNBOOKS, r"(?<=[{ ,])(route|status|instance|reason|stage|type)(?==[~\"])", to("kind")),
    Operator("runbook", RUNBOOKS, r"^# Kronos\w+", to("# Kronos")),
)
