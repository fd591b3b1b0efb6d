"""Every series that there is: what the contract exposes and what the mixin's rules record, with its labels."""

from __future__ import annotations

from collections.abc import Mapping

from kronos_mixin import promql
from kronos_mixin.contract import Contract, Metric
from kronos_mixin.jsonnet import Mixin

Known = Mapping[str, promql.Labels | None]


def known(mixin: Mixin, contract: Contract) -> Known:
    """All series that an expression of the mixin may read, with the labels and values that they have.

    None for the labels of a series that has those of somebody else's choice.
    """
    series: dict[str, promql.Labels | None] = _scraped(contract, mixin.config.get("aggregationLabels", []))
    # All names first: a rule may read what a later group records. Their labels follow as they become known.
    rules = [rule for group in mixin.rules for rule in group["rules"]]
    series |= {rule["record"]: None for rule in rules}
    for rule in rules:
        series[rule["record"]] = promql.read(rule["expr"], series).labels
    return series


def counters(contract: Contract) -> set[str]:
    """The series whose value means nothing by itself, only its increase."""
    types = {name: metric.type for name, metric in contract.metrics.items()}
    types |= {name: metric.type for name, metric in contract.external.items()}
    names = {name for name, kind in types.items() if kind == "counter"}
    histograms = [name for name, metric in contract.metrics.items() if metric.type == "histogram"]
    return names.union(*(contract.exposed_series(name) for name in histograms))


def _scraped(contract: Contract, aggregation_labels: list[str]) -> dict[str, promql.Labels | None]:
    """Every series of a scrape, with its own labels, the target's, and those that tell installations apart."""
    target: promql.Labels = dict.fromkeys([*contract.target_labels, *aggregation_labels])
    series: dict[str, promql.Labels | None] = {}
    for name in (*contract.metrics, *contract.external):
        metric = contract.metrics.get(name)
        for exposed, labels in contract.exposed_series(name).items():
            own = {label: _values(contract, metric, label) if metric else None for label in labels}
            series[exposed] = {**target, **own}
    # An alert carries the labels of its own expression.
    return series | {"ALERTS": None, "ALERTS_FOR_STATE": None}


def _values(contract: Contract, metric: Metric, label: str) -> promql.Values:
    if label == "le":
        return frozenset([*metric.buckets, "+Inf"])
    closed = contract.values(metric.name, label)
    return None if closed is None else frozenset(closed)
