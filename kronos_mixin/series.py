"""All existing series with their labels: those that the contract exposes and those that the mixin's rules record."""

from __future__ import annotations

from collections.abc import Mapping

from kronos_mixin import promql
from kronos_mixin.contract import Contract, Metric
from kronos_mixin.jsonnet import Mixin

Known = Mapping[str, promql.Labels | None]


def known(mixin: Mixin, contract: Contract) -> Known:
    """All series that an expression of the mixin may read, with their labels and values; None: any labels."""
    series: dict[str, promql.Labels | None] = _scraped(contract, mixin.config.get("aggregationLabels", []))
    if mixin.config.get("histograms") in {"native", "both"}:
        series |= native(series)
    # Names first, labels after: a rule may read what a later group records.
    rules = [rule for group in mixin.rules for rule in group["rules"]]
    series |= {rule["record"]: None for rule in rules}
    for rule in rules:
        series[rule["record"]] = promql.read(rule["expr"], series).labels
    return series


def native(known: Known) -> Known:
    """The native histograms that Prometheus can make of the classic ones in ``known``, under the same names."""
    return {
        name.removesuffix("_bucket"): None if labels is None else {k: v for k, v in labels.items() if k != "le"}
        for name, labels in known.items()
        if name.endswith("_bucket")
    }


def counters(contract: Contract) -> set[str]:
    """The series of which only the increase means anything, not the value."""
    types = {name: metric.type for name, metric in contract.metrics.items()}
    types |= {name: metric.type for name, metric in contract.external.items()}
    names = {name for name, kind in types.items() if kind == "counter"}
    histograms = [name for name, metric in contract.metrics.items() if metric.type == "histogram"]
    return names.union(*(contract.exposed_series(name) for name in histograms))


def _scraped(contract: Contract, aggregation_labels: list[str]) -> dict[str, promql.Labels | None]:
    """Every scraped series with its own labels, those of its target, and ``aggregation_labels``."""
    target: promql.Labels = dict.fromkeys([*contract.target_labels, *aggregation_labels])
    series: dict[str, promql.Labels | None] = {}
    for name in (*contract.metrics, *contract.external):
        metric = contract.metrics.get(name)
        for exposed, labels in contract.exposed_series(name).items():
            own = {label: _values(contract, metric, label) if metric else None for label in labels}
            series[exposed] = {**target, **own}
    # Their labels are those of each alert's expression.
    return series | {"ALERTS": None, "ALERTS_FOR_STATE": None}


def _values(contract: Contract, metric: Metric, label: str) -> promql.Values:
    if label == "le":
        return frozenset([*metric.buckets, "+Inf"])
    closed = contract.values(metric.name, label)
    return None if closed is None else frozenset(closed)
