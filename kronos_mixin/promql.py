"""Which series and labels a PromQL expression reads, and which labels its result has.

Prometheus answers a query for a series or label that does not exist with nothing, not with an error; a rule
over it is valid and silent for ever. This module finds such queries before they are loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import promql_parser as promql

Labels = frozenset[str]

# What Grafana puts in place of its own variables before it asks; any duration does for parsing.
_INTERVALS = re.compile(r"\$(__interval|__rate_interval|__range)\b|\$\{(__interval|__rate_interval|__range)\}")

_SET_OPERATORS = {"and", "or", "unless"}
_KEEPS_LABELS = {"topk", "bottomk", "limitk", "limit_ratio"}


@dataclass(slots=True)
class Reading:
    """What one expression reads.

    ``labels`` are those that its result may have; None where that can't be told, because a series is unknown or
    carries labels of somebody else's choice. ``problems`` are sentences.
    """

    labels: Labels | None = None
    series: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def read(expression: str, known: Mapping[str, Labels | None]) -> Reading:
    """Parse ``expression`` and hold it against the ``known`` series and their labels.

    Labels of None stand for a series with any labels. Never raises: an expression that does not parse is a
    problem of the Reading.
    """
    reading = Reading()
    try:
        tree = promql.parse(_INTERVALS.sub("5m", expression))
    except ValueError as error:
        reading.problems.append(f"is not PromQL: {error}")
        return reading
    reading.labels = _Walk(known, reading).labels(tree)
    return reading


class _Walk:
    """Goes through one expression from the leaves up, each step giving the labels of its result."""

    def __init__(self, known: Mapping[str, Labels | None], reading: Reading) -> None:
        self._known = known
        self._reading = reading

    def labels(self, node: promql.Expr | None) -> Labels | None:
        match node:
            case promql.VectorSelector():
                return self._selector(node)
            case promql.MatrixSelector():
                return self._selector(node.vector_selector)
            case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr():
                return self.labels(node.expr)
            case promql.AggregateExpr():
                return self._aggregation(node)
            case promql.Call():
                return self._call(node)
            case promql.BinaryExpr():
                return self._operation(node)
            case _:  # a number or a string
                return frozenset()

    def _selector(self, node: promql.VectorSelector) -> Labels | None:
        matchers = [*node.matchers.matchers, *(m for group in node.matchers.or_matchers for m in group)]
        name = node.name or next((m.value for m in matchers if m.name == "__name__"), "")
        self._reading.series.add(name)
        if name not in self._known:
            self._problem(f"reads {name or 'series without a name'}, which nothing exposes or records")
            return None
        labels = self._known[name]
        self._need(labels, (m.name for m in matchers if m.name != "__name__"), name, "matches")
        return labels

    def _aggregation(self, node: promql.AggregateExpr) -> Labels | None:
        inner = self.labels(node.expr)
        operator = str(node.op)
        if operator in _KEEPS_LABELS:
            return inner
        if node.modifier is None:
            return frozenset()
        named = frozenset(node.modifier.labels)
        if node.modifier.type == promql.AggModifierType.By:
            self._need(inner, node.modifier.labels, f"what {operator} is taken of", "groups by")
            return named
        return None if inner is None else inner - named

    def _call(self, node: promql.Call) -> Labels | None:
        name = node.func.name
        arguments = [self.labels(argument) for argument in node.args]
        if name in {"absent", "absent_over_time"}:
            return self._equalities(node.args[0])
        if name == "histogram_quantile":
            self._need(arguments[1], ["le"], "its argument", "takes a quantile over")
            return None if arguments[1] is None else arguments[1] - {"le"}
        if name in {"label_replace", "label_join"}:
            target = node.args[1]
            assert isinstance(target, promql.StringLiteral)  # noqa: S101 - the parser has checked the types
            return None if arguments[0] is None else arguments[0] | {target.val}
        # All others keep the labels of their only vector; vector(), time() and scalar() have none.
        return next((labels for labels in arguments if labels != frozenset()), frozenset())

    def _equalities(self, node: promql.Expr) -> Labels:
        """`absent` makes up its labels from what its selector demands."""
        selector = node.vector_selector if isinstance(node, promql.MatrixSelector) else node
        if not isinstance(selector, promql.VectorSelector):
            return frozenset()
        equal = [m.name for m in selector.matchers.matchers if m.op == promql.MatchOp.Equal]
        return frozenset(equal) - {"__name__"}

    def _operation(self, node: promql.BinaryExpr) -> Labels | None:
        left, right = self.labels(node.lhs), self.labels(node.rhs)
        if _is_scalar(node.lhs):
            return right
        if _is_scalar(node.rhs):
            return left
        operator = str(node.op)
        matching = node.modifier.matching if node.modifier else None
        if left is None or right is None:
            return left if operator != "or" else None
        if operator == "or":
            return left | right
        on = matching is not None and matching.type == promql.LabelModifierType.Include
        named = frozenset(matching.labels) if matching else frozenset()
        if on:
            self._need(left, named, f"the left side of {operator}", "matches on")
            self._need(right, named, f"the right side of {operator}", "matches on")
        elif left - named != right - named:
            self._problem(
                f"{operator} never matches: only one of its sides has {', '.join(sorted((left ^ right) - named))}"
            )
        if operator in _SET_OPERATORS or node.modifier is None:
            return left
        if node.modifier.card == promql.VectorMatchCardinality.ManyToOne:
            return left | frozenset(node.modifier.group_labels or ())
        if node.modifier.card == promql.VectorMatchCardinality.OneToMany:
            return right | frozenset(node.modifier.group_labels or ())
        return named if on else left - named

    def _need(self, labels: Labels | None, wanted: Iterable[str], where: str, what: str) -> None:
        if labels is None:
            return
        for label in wanted:
            if label not in labels:
                self._problem(f"{what} {label}, which {where} does not have")

    def _problem(self, sentence: str) -> None:
        self._reading.problems.append(sentence)


def _is_scalar(node: promql.Expr) -> bool:
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr):
        return _is_scalar(node.expr)
    if isinstance(node, promql.BinaryExpr):
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    if isinstance(node, promql.Call):
        return node.func.name in {"scalar", "time", "pi"}
    return isinstance(node, promql.NumberLiteral)
