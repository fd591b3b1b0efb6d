"""Works out the labels of an expression's result, and what an expression can never find, from its tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import promql_parser as promql

from kronos_mixin.promql.labels import Labels, Values, either, joined, relabelled, unclear, without
from kronos_mixin.promql.reading import Matcher, Reading, Selector, matcher

# A regular expression of this form can be split at its bars into the values that it matches.
_ALTERNATIVES = re.compile(r"[\w/.:-]+(\|[\w/.:-]+)*")

_SET_OPERATORS = {"and", "or", "unless"}
_KEEPS_LABELS = {"topk", "bottomk", "limitk", "limit_ratio"}
_ADDS_UP = {"sum", "avg"}
# As of Prometheus 3.14: a server has to be started with a feature for them.
# fmt: off
_EXPERIMENTAL = {
    "double_exponential_smoothing", "end", "histogram_quantiles", "info", "limit_ratio", "limitk", "mad_over_time",
    "max_of", "min_of", "range", "sort_by_label", "sort_by_label_desc", "start", "start_timestamp", "step",
    "ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time",
}
# fmt: on
_SCALARS = {"scalar", "time", "pi", "step", "range", "start", "end", "max_of", "min_of"}
_ADDS_LABELS = {"info", "histogram_quantiles"}
# Of a series, or of what is recorded of it.
_BUCKETS = re.compile(r"_bucket(:|$)")


class Walk:
    """Walks the tree of one expression from the leaves up; each step returns the labels of its result."""

    def __init__(self, known: Mapping[str, Labels | None] | None, reading: Reading) -> None:
        self._known = known
        self._reading = reading
        self._functions: list[str] = []

    def labels(self, node: promql.Expr | None) -> Labels | None:
        """The labels of the result, with their values where they are known; None: any labels."""
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
                return {}

    def _selector(self, node: promql.VectorSelector) -> Labels | None:
        # Matchers joined by `or` narrow nothing down: any one of them may hold.
        certain = node.matchers.matchers
        if node.matchers.or_matchers:
            self._newer("matchers joined by `or`, which VictoriaMetrics alone has,")
        named = [matcher(one) for one in [*certain, *(m for group in node.matchers.or_matchers for m in group)]]
        name = node.name or next((matcher.value for matcher in named if matcher.label == "__name__"), "")
        texts = tuple(matcher for matcher in named if matcher.label != "__name__")
        names = tuple(one for one in named if one.label == "__name__" and one.operator != "=")
        self._reading.selectors.append(Selector(name, texts, tuple(reversed(self._functions)), names))
        self._reading.series.add(name)
        if self._known is None:
            return None
        if names:
            self._several(named, self._known)
            return None
        if name not in self._known:
            self._problem(f"reads {name or 'series without a name'}, which nothing exposes or records")
            return None
        labels = self._known[name]
        # Prometheus renames a label of the series if the target has one of that name.
        self._need(labels, (label.removeprefix("exported_") for label, _, _ in texts), name, "matches")
        if labels is None:
            return None
        narrowed = dict(labels)
        for place, (label, operator, value) in enumerate(texts):
            values = self._matched(name, label, operator, value, labels.get(label))
            if place < len(certain) and label in labels:
                before = narrowed[label]
                narrowed[label] = values if before is None or values is None else values & before
        return narrowed

    def _several(self, matchers: Iterable[Matcher], known: Iterable[str]) -> None:
        """Series by a pattern of their names: at least one must match. Their labels are unknown."""
        for label, operator, value in matchers:
            if label == "__name__" and operator == "=~" and not any(_matches(value, name) for name in known):
                self._problem(f"reads {value}, which matches nothing that is exposed or recorded")

    def _matched(self, series: str, label: str, operator: str, value: str, values: Values) -> Values:
        """The values that a matcher lets through; a problem if some part of it can never match."""
        if "$" in value:  # A variable of a dashboard.
            return values
        if values is None:
            return frozenset({value}) if operator == "=" else None
        literal = operator in {"=", "!="}
        parts = [value] if literal or not _ALTERNATIVES.fullmatch(value) else value.split("|")
        matching: set[str] = set()
        for part in parts:
            # An empty value selects series without the label.
            found = {
                one
                for one in values
                if any(spelt == part if literal else _matches(part, spelt) for spelt in _spellings(label, one))
            }
            if not found and part:
                self._problem(
                    f"matches {label}{operator}{part!r}, which {label} of {series} never is: "
                    f"it is {', '.join(sorted(values))}"
                )
            matching |= found
        self._need_both_spellings(Matcher(label, operator, value), matching)
        return frozenset(matching) if operator in {"=", "=~"} else values - matching

    def _need_both_spellings(self, matcher: Matcher, values: Iterable[str]) -> None:
        for value in sorted(values):
            spellings = _spellings(matcher.label, value)
            if len({matcher.lets_through(spelt) for spelt in spellings}) > 1:
                long, short = spellings
                self._problem(
                    f"matches only one spelling of le: services write {long}, OpenTelemetry collectors {short}; "
                    f'le=~"{short}([.]0)?" matches both'
                )

    def _aggregation(self, node: promql.AggregateExpr) -> Labels | None:
        inner = self.labels(node.expr)
        operator = str(node.op)
        if operator in _EXPERIMENTAL:
            self._newer(f"{operator}, which is experimental,")
        if operator in _KEEPS_LABELS:
            return inner
        named = frozenset(node.modifier.labels) if node.modifier else frozenset()
        made = (
            {node.param.val: None}
            if operator == "count_values" and isinstance(node.param, promql.StringLiteral)
            else {}
        )
        by = node.modifier is None or node.modifier.type == promql.AggModifierType.By
        if operator in _ADDS_UP and ("le" in named) != by:
            self._buckets(operator, node.expr)
        if node.modifier is None:
            return made
        if unclear([*named, *made]):
            return None
        if node.modifier.type == promql.AggModifierType.By:
            self._need(inner, node.modifier.labels, f"what {operator} is taken of", "groups by")
            return {**{label: (inner or {}).get(label) for label in named}, **made}
        return None if inner is None else {**without(inner, named), **made}

    def _buckets(self, operator: str, node: promql.Expr) -> None:
        """Report a sum or average over buckets of several le: they are cumulative, so it counts things twice."""
        if isinstance(node, promql.ParenExpr):
            self._buckets(operator, node.expr)
        elif isinstance(node, promql.BinaryExpr) and str(node.op) == "or":
            # Each side may select a single boundary.
            self._buckets(operator, node.lhs)
            self._buckets(operator, node.rhs)
        else:
            labels = Walk(self._known, Reading()).labels(node) or {}
            if "le" in labels and (labels["le"] is None or len(labels["le"]) > 1):
                self._problem(
                    f"takes the {operator} of buckets of every le: group by le, or choose one, as in le='+Inf'"
                )

    def _call(self, node: promql.Call) -> Labels | None:
        name = node.func.name
        if name in _EXPERIMENTAL:
            self._newer(f"{name}, which is experimental,")
        self._functions.append(name)
        before = len(self._reading.selectors)
        arguments = [self.labels(argument) for argument in node.args]
        self._functions.pop()
        if name in {"absent", "absent_over_time"}:
            return self._equalities(node.args[0])
        if name in {"histogram_quantile", "histogram_fraction"}:
            # VictoriaMetrics has a label of its own for buckets.
            native = all(self._native(selector) for selector in self._reading.selectors[before:])
            if not native and "vmrange" not in (arguments[-1] or {}):
                self._need(arguments[-1], ["le"], "its argument", f"takes a {name.partition('_')[2]} over")
            return None if arguments[-1] is None else without(arguments[-1], {"le"})
        if name in {"label_replace", "label_join"}:
            texts = [text.val for text in node.args[1:] if isinstance(text, promql.StringLiteral)]
            return relabelled(name, arguments[0], texts)
        if name in _ADDS_LABELS:
            return None
        # All others keep the labels of their only vector argument; vector(), time() and scalar() have none.
        return next((labels for labels in arguments if labels is None or labels), {})

    def _native(self, selector: Selector) -> bool:
        """Whether it may select native histograms, which have no buckets of their own."""
        if _BUCKETS.search(selector.name):
            return False
        return self._known is None or f"{selector.name}_bucket" in self._known

    def _equalities(self, node: promql.Expr) -> Labels:
        """`absent` takes its labels from the equality matchers of its selector."""
        selector = node.vector_selector if isinstance(node, promql.MatrixSelector) else node
        if not isinstance(selector, promql.VectorSelector):
            return {}
        equal = [m for m in selector.matchers.matchers if m.op == promql.MatchOp.Equal and m.name != "__name__"]
        return {m.name: frozenset({m.value}) for m in equal}

    def _operation(self, node: promql.BinaryExpr) -> Labels | None:
        left, right = self.labels(node.lhs), self.labels(node.rhs)
        if _is_scalar(node.lhs):
            return right
        if _is_scalar(node.rhs):
            return left
        operator = str(node.op)
        fill = node.modifier.fill_values if node.modifier else None
        if fill and (fill.lhs is not None or fill.rhs is not None):
            self._newer("the modifier fill, which is experimental,")
        if operator == "or":
            if left is None or right is None:
                return None
            return {label: either(label, left, right) for label in left.keys() | right.keys()}
        matching = node.modifier.matching if node.modifier else None
        on = matching is not None and matching.type == promql.LabelModifierType.Include
        named = frozenset(matching.labels) if matching else frozenset()
        if left is not None and right is not None and not unclear(named):
            self._match(operator, left, right, named, on=on)
        if operator in _SET_OPERATORS or node.modifier is None:
            return left
        return joined(node.modifier, left, right, named, on=on)

    def _match(self, operator: str, left: Labels, right: Labels, named: frozenset[str], *, on: bool) -> None:
        """Report sides that can't match by the ``named`` labels, or by all others."""
        if on:  # What neither side has is equal.
            self._need(left, named & right.keys(), f"the left side of {operator}", "matches on")
            self._need(right, named & left.keys(), f"the right side of {operator}", "matches on")
        elif left.keys() - named != right.keys() - named:
            self._problem(
                f"{operator} never matches: only one of its sides has "
                f"{', '.join(sorted((left.keys() ^ right.keys()) - named))}"
            )

    def _need(self, labels: Labels | None, wanted: Iterable[str], where: str, what: str) -> None:
        if labels is None:
            return
        for label in wanted:
            if label not in labels:
                self._problem(f"{what} {label}, which {where} does not have")

    def _newer(self, what: str) -> None:
        if not any(what.split(",")[0] in known for known in self._reading.newer):
            self._reading.newer = (*self._reading.newer, what)

    def _problem(self, sentence: str) -> None:
        self._reading.problems.append(sentence)


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:  # RE2 has a few things that Python lacks: assume that they match.
        return True


def _spellings(label: str, value: str) -> tuple[str, ...]:
    """How a value may be written: 5.0 is 5 as well if it is the boundary of a bucket."""
    return (value, value.removesuffix(".0")) if label == "le" and value.endswith(".0") else (value,)


def _is_scalar(node: promql.Expr) -> bool:
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr):
        return _is_scalar(node.expr)
    if isinstance(node, promql.BinaryExpr):
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    if isinstance(node, promql.Call):
        return node.func.name in _SCALARS
    return isinstance(node, promql.NumberLiteral)
