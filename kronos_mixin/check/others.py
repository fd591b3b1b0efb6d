"""Checks for any mixin: all that can be checked without knowing which metrics its service exposes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kronos_mixin import promql, promtool
from kronos_mixin.check.compiled import drift, refused_rules
from kronos_mixin.check.finding import Finding
from kronos_mixin.compile import manifest
from kronos_mixin.jsonnet import Mixin

# A dashboard's variables, in Grafana's three notations.
_VARIABLE = re.compile(r"\$\{\w+(?:[.:][^}]*)?\}|\[\[\w+(?::[^\]]*)?\]\]|\$\w+")
# What a variable outside quotes may stand for: a name, an operator, a duration, a number.
_STANDS_FOR = ("x", "sum", "5m", "1")
_MOST_VARIABLES = 3
_DURATION = re.compile(r"(?<=[\[:])\s*(?:" + _VARIABLE.pattern + r")\s*(?=[\]:])")
_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
_VARIABLE_QUERY = re.compile(
    r"\s*(?:label_values\((?P<series>.+),\s*\w+\s*\)|query_result\((?P<result>.+)\))\s*$", re.DOTALL
)


class _Anything(dict[str, promql.Labels | None]):
    """The series of an unknown service: any may exist, with any labels."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> promql.Labels | None:
        return None


def check(mixin: Mixin, files: Mapping[str, str], output: Path, compile_command: str) -> list[Finding]:
    """Check ``mixin``, which ``compile_command`` compiles to ``files``.

    Expressions must parse, or promtool must accept them. A series with a colon in its name must be recorded by a rule
    of the mixin. promtool must accept the rules, if it is on PATH. Files already in ``output`` must be up to date.
    """
    findings = list(drift(files, output, mixin.name, compile_command)) if manifest(output, mixin.name) else []
    recorded = {rule["record"] for group in mixin.rules + mixin.alerts for rule in _rules(group) if "record" in rule}
    for file, place, expression in _expressions(mixin):
        reading = _read(expression)
        if reading.parsed:
            findings += [Finding(file, place, problem) for problem in reading.problems]
        else:
            findings.append(_judged(file, place, expression, reading.problems[-1]))
        findings += [
            Finding(file, place, f"reads {name}, which no rule of the mixin records")
            for name in sorted(reading.series - recorded)
            if ":" in name
        ]
    return list(dict.fromkeys([*findings, *refused_rules(mixin)]))


def _judged(file: str, place: str, expression: str, problem: str) -> Finding:
    """What to say of an expression that this program can't read: newer PromQL, if promtool can."""
    if not promtool.available():
        return Finding(
            file, place, f"{problem}; put the promtool of your Prometheus on PATH, to check it", warning=True
        )
    parts, variables = _parts(expression)
    said = ""
    for values in itertools.product(_STANDS_FOR, repeat=min(len(variables), 1)):
        text = _with(parts, dict.fromkeys(variables, *values) if variables else {})
        said, experimental = promtool.check_expression(text)
        if not said or experimental:
            asks = f", and asks for a feature of Prometheus ({said})" if said else ""
            return Finding(file, place, f"{problem}; promtool can{asks}: its series were not checked", warning=True)
    return Finding(file, place, f"promtool refuses it: {said}")


def _expressions(mixin: Mixin) -> Iterator[tuple[str, str, str]]:
    """File, place and text of every expression."""
    for kind, groups in (("rules", mixin.rules), ("alerts", mixin.alerts)):
        for group in groups:
            for rule in _rules(group):
                yield (
                    f"prometheus/{mixin.name}-{kind}.yml",
                    str(rule.get("alert", rule.get("record"))),
                    str(rule["expr"]),
                )
    for name, dashboard in mixin.dashboards.items():
        variables = _list(dashboard.get("templating"), "list")
        sources = {f"${v.get('name')}": v.get("query") for v in variables if v.get("type") == "datasource"}
        for place, expression in (*_queries(dashboard, sources), *_variables(variables)):
            yield f"grafana/{name}", place, expression


def _queries(dashboard: Mapping[str, Any], sources: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in _panels(dashboard):
        for target in _list(panel, "targets"):
            expression = target.get("expr")
            asked = _asks_prometheus(target.get("datasource") or panel.get("datasource"), sources)
            if asked and isinstance(expression, str) and expression.strip():
                yield f"panel {panel.get('title') or panel.get('id')!r} {target.get('refId', '')}", expression


def _variables(variables: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for variable in variables:
        query = variable.get("query")
        text = query.get("query") if isinstance(query, dict) else query
        if variable.get("type") == "query" and isinstance(text, str) and (match := _VARIABLE_QUERY.match(text)):
            yield f"variable ${variable.get('name')}", match["series"] or match["result"]


def _read(expression: str) -> promql.Reading:
    """Read an expression whose variables may stand for anything."""
    parts, variables = _parts(expression)
    if len(variables) > _MOST_VARIABLES:
        return promql.Reading()  # Too many combinations to try.
    for values in itertools.product(_STANDS_FOR, repeat=len(variables)):
        chosen = dict(zip(variables, values, strict=True))
        reading = promql.read(_with(parts, chosen), _Anything())
        if not reading.problems:
            break
    if variables:
        # `job:x:$window` is a name that only Grafana can complete.
        reading.series = {name for name in reading.series if name in expression}
    return reading


def _parts(expression: str) -> tuple[list[str], list[str]]:
    """An expression by what is outside quotes and what is in them, in turn, and its variables outside quotes."""
    parts = _QUOTED.split(expression)
    # In quotes a variable is text, in brackets a duration. Any will do.
    parts[1::2] = [_VARIABLE.sub("x", part) for part in parts[1::2]]
    parts[::2] = [_DURATION.sub("5m", part) for part in parts[::2]]
    return parts, sorted({found[0] for part in parts[::2] for found in _VARIABLE.finditer(part)})


def _with(parts: list[str], values: Mapping[str, str]) -> str:
    """The expression with values for its variables outside quotes, which are in every other part."""
    return "".join(
        part if number % 2 else _VARIABLE.sub(lambda found: values[found[0]], part)
        for number, part in enumerate(parts)
    )


def _asks_prometheus(source: Any, variables: Mapping[str, Any]) -> bool:
    """Whether a query goes to Prometheus. Without a data source, as in old dashboards, it is assumed to."""
    kind = source.get("type") if isinstance(source, dict) else None
    named = source.get("uid") if isinstance(source, dict) else source
    if kind is None and isinstance(named, str):
        kind = variables.get("$" + named.strip("${}"))
    return not isinstance(kind, str) or "prometheus" in kind


def _panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels, those inside rows included; old dashboards keep rows in a list of their own."""
    for panel in [
        *_list(dashboard, "panels"),
        *(p for row in _list(dashboard, "rows") for p in _list(row, "panels")),
    ]:
        yield panel
        yield from _panels(panel)


def _rules(group: Mapping[str, Any]) -> list[dict[str, Any]]:
    return _list(group, "rules")


def _list(holder: Any, key: str) -> list[dict[str, Any]]:
    value = holder.get(key) if isinstance(holder, Mapping) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
