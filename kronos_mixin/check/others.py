"""Checks for any mixin: all that can be checked without knowing which metrics its service exposes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kronos_mixin import promql, promtool, variables
from kronos_mixin.check.compiled import drift, refused_rules
from kronos_mixin.check.finding import Finding
from kronos_mixin.compile import dashboard_path, manifest
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.queries import items, queries
from kronos_mixin.queries import variables as variables_of

_OPERATION = re.compile(
    r"(?:p?\d+)?(?:sum|avg|mean|min|max|count|rate|irate|increase|delta|deriv|ratio|share|quantile|histogram|median|"
    r"stddev|stdvar|group|topk|burnrate|relabel|p)(?:\d+[smhdwy]?)?"
)


class _Expression(NamedTuple):
    """An expression, as it was read, and the text of it that was read."""

    file: str
    place: str
    reading: promql.Reading
    text: str


def check(mixin: Mixin, files: Mapping[str, str], output: Path, compile_command: str) -> list[Finding]:
    """Check ``mixin``, which ``compile_command`` compiles to ``files``.

    Expressions must parse, or promtool must accept them. Labels that are grouped by or matched on must be there as
    far as that is known, and a series with the name of a recorded one must be recorded by a rule of the mixin.
    promtool must accept the rules, if it is on PATH. Files already in ``output`` must be up to date.
    """
    findings = list(drift(files, output, mixin.name, compile_command)) if manifest(output, mixin.name) else []
    expressions = list(_expressions(mixin))
    recorded = {rule["record"] for group in mixin.rules + mixin.alerts for rule in _rules(group) if "record" in rule}
    # Some services have colons in the names of their own metrics. Nobody records a counter.
    counters = {one.name for each in expressions for one in each.reading.selectors if one.counted}
    for one in expressions:
        problems = one.reading.problems if one.reading.parsed else []
        missing = filter(_named_as_recorded, sorted(one.reading.series - recorded - counters))
        problems = [*problems, *(f"reads {name}, which no rule of the mixin records" for name in missing)]
        findings += [Finding(one.file, one.place, problem) for problem in problems]
        if said := promtool.judge(one.text, one.reading):
            findings.append(Finding(one.file, one.place, said.sentence, warning=not said.certain))
    return list(dict.fromkeys([*findings, *refused_rules(mixin)]))


def _named_as_recorded(name: str) -> bool:
    """Whether a series is named as a recorded one, `job:requests:rate5m`: by what was done, after the last colon."""
    _, colon, done = name.rpartition(":")
    return bool(colon) and (not done or all(map(_OPERATION.fullmatch, done.split("_"))))


def _expressions(mixin: Mixin) -> Iterator[_Expression]:
    for kind, groups in (("rules", mixin.rules), ("alerts", mixin.alerts)):
        for group in groups:
            for rule in _rules(group):
                place, text = str(rule.get("alert", rule.get("record"))), str(rule["expr"])
                yield _Expression(f"prometheus/{mixin.name}-{kind}.yml", place, promql.read(text, None), text)
    for name, dashboard in mixin.dashboards.items():
        known = variables_of(dashboard)
        for place, text in queries(dashboard):
            yield _Expression(dashboard_path(mixin, name), place, *variables.read(text, known))


def _rules(group: Mapping[str, Any]) -> list[dict[str, Any]]:
    return items(group, "rules")
