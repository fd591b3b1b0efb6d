"""The kinds of mistakes: patterns of what is right, and what people write instead."""

from mutation.kinds import alerts, contract, dashboards, examples, expressions, manifests

OPERATORS = (
    *expressions.OPERATORS,
    *alerts.OPERATORS,
    *dashboards.OPERATORS,
    *examples.OPERATORS,
    *contract.OPERATORS,
    *manifests.OPERATORS,
)
