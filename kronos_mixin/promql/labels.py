"""What is known of the labels of a vector, and what the operations of PromQL make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import promql_parser as promql

Values = frozenset[str] | None
"""The values that a label can have; None: any."""

Labels = Mapping[str, Values]

ANY_LABEL = "kronos_mixin_any"
"""Stands in an expression for text that is not known: for any label, for several, or for none."""


def without(labels: Labels, unwanted: Iterable[str]) -> Labels:
    """The labels but for the unwanted ones."""
    return {label: values for label, values in labels.items() if label not in frozenset(unwanted)}


def relabelled(function: str, labels: Labels | None, texts: list[str]) -> Labels | None:
    """Labels after label_replace or label_join; None where it depends on their values whether there is one less."""
    target, *rest = texts
    if labels is None or ANY_LABEL in target:
        return None
    if function == "label_join":
        return {**labels, target: None}
    always = rest[1:] == ["", ""]  # An empty pattern over no label.
    if rest[0] == "":
        return without(labels, [target]) if always else None
    return {**labels, target: frozenset(rest[:1]) if always else None}


def joined(
    modifier: promql.BinModifier, left: Labels | None, right: Labels | None, named: frozenset[str], *, on: bool
) -> Labels | None:
    """The labels of the result of an operation; the modifier names labels to match ``on``, or to ignore."""
    added = modifier.group_labels or ()
    if modifier.card == promql.VectorMatchCardinality.ManyToOne:
        return _with(left, right, added)
    if modifier.card == promql.VectorMatchCardinality.OneToMany:
        return _with(right, left, added)
    if unclear(named):
        return None
    if on:
        return {label: (left or {}).get(label) for label in named}
    return None if left is None else without(left, named)


def unclear(labels: Iterable[str]) -> bool:
    """Whether it is not known which labels these are."""
    return any(ANY_LABEL in label for label in labels)


def _with(many: Labels | None, one: Labels | None, added: Iterable[str]) -> Labels | None:
    """The labels of the side with many series, and those that group_left or group_right adds from the other."""
    if many is None or unclear(added):
        return None
    return {**many, **{label: (one or {}).get(label) for label in added}}


def either(label: str, left: Labels, right: Labels) -> Values:
    """The values that a label may have in the union of two vectors."""
    sides = [side[label] for side in (left, right) if label in side]
    if any(values is None for values in sides):
        return None
    absent = [frozenset({""})] if len(sides) == 1 else []
    return frozenset().union(*(values for values in sides if values is not None), *absent)
