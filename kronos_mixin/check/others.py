"""Checks for any mixin: all that can be checked without knowing which metrics its service exposes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kronos_mixin import promql, promtool
from kronos_mixin.check.compiled import drift, refused_rules
from kronos_mixin.check.finding import Finding
from kronos_mixin.check.waivers import About, Waiver, applied, idle
from kronos_mixin.compile import dashboard_path
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.promql import variables
from kronos_mixin.queries import items, queries, title
from kronos_mixin.queries import variables as variables_of
from kronos_mixin.written import manifest

_OPERATION = re.compile(
    r"(?:p?\d+)?(?:sum|avg|mean|min|max|count|rate|irate|increase|delta|deriv|ratio|share|quantile|histogram|median|"
    r"stddev|stdvar|group|topk|burnrate|relabel|p)(?:\d+[smhdwy]?)?"
)


# As waivers name them: dashboard-linter's where it has the same, else our own.
PANELS, VARIABLES = "target-promql-rule", "template-label-promql-rule"
PROMQL, LABELS, RECORDED = "promql-rule", "promql-labels-rule", "promql-recorded-rule"
_OWN_RULES = (PROMQL, LABELS, RECORDED)


class _Expression(NamedTuple):
    """An expression, as it was read, the text of it that was read, and what it is about, but for the rule."""

    file: str
    place: str
    reading: promql.Reading
    text: str
    about: About

    def offence(self, rule: str, message: str, *, warning: bool = False) -> tuple[About, Finding]:
        """What is wrong with it, and what a waiver may name of that."""
        finding = Finding(self.file, self.place, message, warning, rule)
        return self.about._replace(rule=rule), finding


def check(
    mixin: Mixin, files: Mapping[str, str], output: Path, compile_command: str, waivers: Iterable[Waiver] = ()
) -> list[Finding]:
    """Check ``mixin``, which ``compile_command`` compiles to ``files``.

    Expressions must parse, or promtool must accept them. Labels that are grouped by or matched on must be there as
    far as that is known, and a series with the name of a recorded one must be recorded by a rule of the mixin.
    promtool must accept the rules, if it is on PATH. Files already in ``output`` must be up to date. ``waivers``
    excuse what is wrong with expressions.
    """
    findings = list(drift(files, output, mixin.name, compile_command)) if manifest(output, mixin.name) else []
    offences, waivers = list(_offences(mixin)), list(waivers)
    findings += applied(offences, waivers)
    # Other linters read the waivers of their own rules, too.
    findings += idle(offences, [waiver for waiver in waivers if waiver.about.rule in _OWN_RULES])
    return list(dict.fromkeys([*findings, *refused_rules(mixin)]))


def _offences(mixin: Mixin) -> Iterator[tuple[About, Finding]]:
    expressions = list(_expressions(mixin))
    recorded = {rule["record"] for group in mixin.rules + mixin.alerts for rule in _rules(group) if "record" in rule}
    # Some services have colons in the names of their own metrics. Nobody records a counter.
    counters = {one.name for each in expressions for one in each.reading.selectors if one.counted}
    for one in expressions:
        if one.reading.parsed:
            yield from (one.offence(LABELS, problem) for problem in one.reading.problems)
        for name in filter(_named_as_recorded, sorted(one.reading.series - recorded - counters)):
            about, finding = one.offence(RECORDED, f"reads {name}, which no rule of the mixin records")
            yield about._replace(series=name), finding
        if said := promtool.judge(one.text, one.reading):
            yield one.offence(one.about.rule, said.sentence, warning=not said.certain)


def _named_as_recorded(name: str) -> bool:
    """Whether a series is named as a recorded one, `job:requests:rate5m`: by what was done, after the last colon."""
    _, colon, done = name.rpartition(":")
    return bool(colon) and (not done or all(map(_OPERATION.fullmatch, done.split("_"))))


def _expressions(mixin: Mixin) -> Iterator[_Expression]:
    for kind, groups in (("rules", mixin.rules), ("alerts", mixin.alerts)):
        for group in groups:
            for rule in _rules(group):
                name, text = str(rule.get("alert", rule.get("record"))), str(rule["expr"])
                about = About(PROMQL, alert=name)
                yield _Expression(f"prometheus/{mixin.name}-{kind}.yml", name, promql.read(text, None), text, about)
    for file, dashboard in mixin.dashboards.items():
        known = variables_of(dashboard)
        for query in queries(dashboard):
            broken = PANELS if query.target else VARIABLES if query.place.startswith("variable") else PROMQL
            about = About(broken, title(dashboard), query.panel, query.target)
            yield _Expression(dashboard_path(mixin, file), query.place, *variables.read(query.text, known), about)


def _rules(group: Mapping[str, Any]) -> list[dict[str, Any]]:
    return items(group, "rules")
