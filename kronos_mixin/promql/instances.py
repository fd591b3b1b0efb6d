"""Finds out whether an expression looks at one instance alone, and so is right where only some of them are known."""

from __future__ import annotations

import promql_parser as promql

from kronos_mixin.promql import dialect

_INSTANCE = "instance"
_WHETHER_ANY = {"absent", "absent_over_time", "scalar"}


def mixes_instances(expression: str) -> str:
    """How what ``expression`` says of an instance depends on others, beginning with a verb; empty if it does not.

    Recorded series may hold any number of instances. Of what does not parse, nothing is said.
    """
    try:
        tree = dialect.parse(expression).tree
    except dialect.RefusedError:
        return ""
    return _mixes(tree)


def _mixes(node: promql.Expr) -> str:
    match node:
        case promql.VectorSelector():
            return f"reads {node.name}, which is recorded of all instances" if ":" in (node.name or "") else ""
        case promql.MatrixSelector():
            return _mixes(node.vector_selector)
        case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr():
            return _mixes(node.expr)
        case promql.AggregateExpr():
            by = node.modifier is None or node.modifier.type == promql.AggModifierType.By
            named = node.modifier.labels if node.modifier else []
            return f"takes the {node.op} of several instances" if (_INSTANCE in named) != by else _mixes(node.expr)
        case promql.Call():
            if node.func.name in _WHETHER_ANY:
                return f"asks by {node.func.name} whether there is any instance"
            return next(filter(None, map(_mixes, node.args)), "")
        case promql.BinaryExpr():
            matching = node.modifier.matching if node.modifier else None
            if matching is not None:
                on = matching.type == promql.LabelModifierType.Include
                if (_INSTANCE in matching.labels) != on:
                    return f"compares instances with one another by {node.op}"
            return _mixes(node.lhs) or _mixes(node.rhs)
        case _:  # a number or a string
            return ""
