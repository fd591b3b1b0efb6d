"""What is known of one PromQL expression: its selectors, its labels, its problems."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import promql_parser as promql

from kronos_mixin.promql.labels import Labels

_OF_COUNTERS = {"rate", "irate", "increase", "resets", "absent", "absent_over_time"}
OPERATORS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


class Matcher(NamedTuple):
    """A condition on one label: `job=~"a|b"`."""

    label: str
    operator: str
    value: str

    def lets_through(self, value: str) -> bool:
        """Whether a series whose label has this value may match."""
        if self.operator in {"=", "!="}:
            return (value == self.value) == (self.operator == "=")
        try:
            return (re.fullmatch(self.value, value) is not None) == (self.operator == "=~")
        except re.error:  # RE2 has a few things that Python lacks: assume that they match.
            return True


@dataclass(frozen=True, slots=True)
class Selector:
    """One selector in an expression; `functions` are the calls around it, innermost first.

    `names` are the conditions on its name if that is not just one.
    """

    name: str
    matchers: tuple[Matcher, ...]
    functions: tuple[str, ...]
    names: tuple[Matcher, ...] = ()

    @property
    def counted(self) -> bool:
        """Whether it is read as a counter should be: by its increase, not by its value."""
        return any(function in _OF_COUNTERS for function in self.functions)


@dataclass(slots=True)
class Reading:
    """What one expression reads.

    ``labels`` are those that its result may have; None if unknown, because a series is unknown or has arbitrary
    labels. ``problems`` are sentences without their subject, the expression. ``newer`` is what in it the parser does
    not know, and a Prometheus may. ``certain``: if it was not ``parsed``, no Prometheus will.
    """

    labels: Labels | None = None
    selectors: list[Selector] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    parsed: bool = True
    certain: bool = False
    newer: tuple[str, ...] = ()
    series: set[str] = field(default_factory=set)


def matcher(node: promql.Matcher) -> Matcher:
    """A matcher as the parser has it."""
    return Matcher(node.name, OPERATORS[str(node.op)], node.value)
