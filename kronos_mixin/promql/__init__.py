"""Finds out which series and labels a PromQL expression reads, and the labels of its result with their values.

To Prometheus a query for a series, label or value that does not exist is no error: it returns nothing, and a rule
over it is valid and never fires. This package finds such queries before they are loaded.
"""

from kronos_mixin.promql.expressions import equivalent, matchers, pretty, read
from kronos_mixin.promql.instances import mixes_instances
from kronos_mixin.promql.labels import ANY_LABEL, Labels, Values
from kronos_mixin.promql.reading import OPERATORS, Matcher, Reading, Selector

__all__ = [
    "ANY_LABEL",
    "OPERATORS",
    "Labels",
    "Matcher",
    "Reading",
    "Selector",
    "Values",
    "equivalent",
    "matchers",
    "mixes_instances",
    "pretty",
    "read",
]
