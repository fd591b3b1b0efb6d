"""PromQL expressions: read, compared, and laid out for people."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

import promql_parser as promql

from kronos_mixin.promql import dialect
from kronos_mixin.promql.labels import Labels
from kronos_mixin.promql.reading import Matcher, Reading, matcher
from kronos_mixin.promql.walk import Walk

# Grafana replaces these by durations before it sends a query; any duration will parse.
_INTERVALS = re.compile(r"\$(__interval|__rate_interval|__range)\b|\$\{(__interval|__rate_interval|__range)\}")


def read(expression: str, known: Mapping[str, Labels | None] | None) -> Reading:
    """Parse ``expression`` and check it against the ``known`` series and their labels; None: any labels.

    Without ``known`` any series may exist. Never raises: an expression that does not parse is a problem of the
    Reading.
    """
    reading = Reading()
    try:
        tree, reading.newer = dialect.parse(_INTERVALS.sub("5m", expression))
    except dialect.RefusedError as error:
        reading.problems.append(
            f"is no PromQL ({error})" if error.certain else f"this program can't read it ({error})"
        )
        reading.parsed, reading.certain = False, error.certain
        return reading
    reading.labels = Walk(known, reading).labels(tree)
    return reading


def matchers(text: str) -> tuple[Matcher, ...]:
    """Parse label matchers, written as between the braces of a selector. Raises ValueError if there are none."""
    tree = dialect.parse(f"x{{{text}}}").tree
    if not isinstance(tree, promql.VectorSelector) or tree.matchers.or_matchers or text.rstrip().endswith(","):
        raise ValueError(f"{text!r} is not a list of label matchers")
    found = tuple(matcher(one) for one in tree.matchers.matchers)
    if not found:
        raise ValueError("there is no label matcher")
    return found


def pretty(expression: str) -> str:
    """``expression``, laid out over lines; as it was written if it has comments, or does not parse."""
    written = textwrap.dedent(expression).strip()
    try:
        return written if dialect.has_comment(expression) else promql.parse(expression).prettify().strip()
    except ValueError:
        return written


def equivalent(one: str, other: str) -> bool:
    """Whether two expressions are the same but for their layout; those that do not parse are taken to be."""
    try:
        return promql.parse(one).prettify() == promql.parse(other).prettify()
    except ValueError:
        return True
