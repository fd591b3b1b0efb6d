"""The metric contract: a typed, frozen view of ``mixin/metrics.json``.

One file defines every metric of the service. The service builds its collectors from it, Jsonnet imports it, the
metrics reference is generated from it, and `check` compares expressions with it. In Python, only this module reads
it; it needs nothing but the standard library.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

MetricType = Literal["counter", "gauge", "histogram"]
Condition = Literal["model_loaded", "gpu"]

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class ContractError(ValueError):
    """The contract file is missing, is not JSON, or contradicts itself."""


@dataclass(frozen=True, slots=True)
class Example:
    """A query over one metric, and what it answers."""

    says: str
    query: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of the service.

    ``section`` is where the metrics reference lists it, ``title`` the title of its panels, ``why`` the reason that it
    exists. ``labels`` maps each label to the name of its value set, which is in ``Contract.label_values`` (closed)
    or in ``Contract.open_labels``. ``buckets`` are the upper bounds as the service exposes them in ``le``, without
    ``+Inf``; empty unless it is a histogram. ``rule_group`` is the group of the rule that records its rate by all of
    its labels; None: no such rule. ``when`` is the condition under which the metric exists; None: always.
    """

    name: str
    section: str
    type: MetricType
    unit: str
    title: str
    help: str
    why: str
    labels: Mapping[str, str]
    example: Example
    buckets: tuple[str, ...] = ()
    rule_group: str | None = None
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class ExternalMetric:
    """A metric defined outside the service: by prometheus-client's collectors, by Prometheus itself, or by Ray."""

    name: str
    type: MetricType
    source: str
    labels: tuple[str, ...]

    @property
    def of_target(self) -> bool:
        """Whether every target of the service has it. Alerts come from rules, and Ray's nodes are another job."""
        return self.source != "ray" and not self.name.startswith("ALERTS")


@dataclass(frozen=True, slots=True)
class Contract:
    """The contents of ``metrics.json``.

    ``label_values`` holds the closed sets, value to meaning; ``open_labels`` the sets whose values are not known in
    advance, name to meaning; ``target_labels`` the labels that Prometheus adds to every scraped series.
    """

    job: str
    metrics_path: str
    target_labels: tuple[str, ...]
    label_values: Mapping[str, Mapping[str, str]]
    open_labels: Mapping[str, str]
    buckets: Mapping[str, tuple[str, ...]]
    metrics: Mapping[str, Metric]
    external: Mapping[str, ExternalMetric]

    def values(self, metric: str, label: str) -> tuple[str, ...] | None:
        """The values that ``label`` of ``metric`` can have; None if the set is open."""
        closed = self.label_values.get(self.metrics[metric].labels[label])
        return None if closed is None else tuple(closed)

    def exposed_series(self, metric: str) -> Mapping[str, tuple[str, ...]]:
        """The series that a metric is exposed as, each with its labels (``le`` included, target labels not).

        A counter or gauge is exposed under its own name, a histogram as ``_bucket``, ``_sum`` and ``_count``.
        """
        own = self.metrics.get(metric)
        if own is None:
            return {metric: self.external[metric].labels}
        labels = tuple(own.labels)
        if own.type != "histogram":
            return {metric: labels}
        return {f"{metric}_bucket": (*labels, "le"), f"{metric}_sum": labels, f"{metric}_count": labels}

    def all_exposed_series(self) -> Mapping[str, tuple[str, ...]]:
        """``exposed_series`` of all metrics, external ones included."""
        return {
            name: labels
            for metric in (*self.metrics, *self.external)
            for name, labels in self.exposed_series(metric).items()
        }

    def target_series(self) -> Mapping[str, tuple[str, ...]]:
        """``all_exposed_series`` without those that a target of the service does not have."""
        foreign = {name for name, metric in self.external.items() if not metric.of_target}
        return {name: labels for name, labels in self.all_exposed_series().items() if name not in foreign}


def mixin_path() -> Path:
    """The folder of the Jsonnet package: package data if installed, else ``mixin/`` of the checkout."""
    package = Path(__file__).resolve().parent
    candidates = (package / "mixin", package.parent / "mixin")
    for folder in candidates:
        if (folder / "metrics.json").is_file():
            return folder
    tried = " nor ".join(str(folder) for folder in candidates)
    raise ContractError(
        f"metrics.json is neither in {tried}: reinstall kronos-mixin, or run it from a complete checkout"
    )


def load_contract(path: Path | None = None) -> Contract:
    """Read and check the contract.

    ``path`` is a metrics.json; None: the one in ``mixin_path()``. Raises ContractError, which lists every
    contradiction.
    """
    file = path if path is not None else mixin_path() / "metrics.json"
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(f"cannot read the metric contract {file}: {error.strerror}") from error
    except ValueError as error:
        raise ContractError(f"the metric contract {file} is not JSON: {error}") from error
    return parse_contract(raw, source=str(file))


def parse_contract(raw: Any, source: str = "the metric contract") -> Contract:
    """Build a Contract from parsed JSON. Raises ContractError, which lists every contradiction, after ``source``."""
    try:
        contract = _build(raw)
    except (KeyError, TypeError, AttributeError) as error:
        # The checks below need the shape, and report everything else.
        raise ContractError(f"{source} does not have the expected shape: {error!r}") from error
    problems = _contradictions(contract)
    if problems:
        raise ContractError(f"{source} contradicts itself:\n" + "\n".join(f"- {line}" for line in problems))
    return contract


def _build(raw: Any) -> Contract:
    buckets = {name: tuple(bounds) for name, bounds in raw["buckets"].items()}
    unknown = [
        f"{name} uses the unknown buckets {spec['buckets']!r}"
        for name, spec in raw["metrics"].items()
        if spec.get("buckets", next(iter(buckets))) not in buckets
    ]
    if unknown:
        raise ContractError("; ".join(unknown) + f": known are {', '.join(buckets)}")
    matcher = f'{{job="{raw["scrape"]["job"]}"}}'
    metrics = {
        name: Metric(
            name=name,
            section=spec["section"],
            type=spec["type"],
            unit=spec["unit"],
            title=spec["title"],
            help=spec["help"],
            why=spec["why"],
            labels=MappingProxyType(dict(spec["labels"])),
            example=Example(spec["example"]["says"], spec["example"]["query"].replace("{job}", matcher)),
            buckets=buckets[spec["buckets"]] if "buckets" in spec else (),
            rule_group=spec.get("rule_group"),
            when=spec.get("when"),
        )
        for name, spec in raw["metrics"].items()
    }
    external = {
        name: ExternalMetric(name, spec["type"], spec["source"], tuple(spec["labels"]))
        for name, spec in raw["external"].items()
    }
    return Contract(
        job=raw["scrape"]["job"],
        metrics_path=raw["scrape"]["metrics_path"],
        target_labels=tuple(raw["scrape"]["target_labels"]),
        label_values=MappingProxyType(
            {name: MappingProxyType(dict(values)) for name, values in raw["label_values"].items()}
        ),
        open_labels=MappingProxyType(dict(raw["open_labels"])),
        buckets=MappingProxyType(buckets),
        metrics=MappingProxyType(metrics),
        external=MappingProxyType(external),
    )


def _contradictions(contract: Contract) -> list[str]:
    problems = [
        f"{name} is both a closed and an open label set"
        for name in sorted(contract.label_values.keys() & contract.open_labels.keys())
    ]
    problems += [
        f"{name} is both a metric of the service and an external one"
        for name in sorted(contract.metrics.keys() & contract.external.keys())
    ]
    problems += [f"label set {name} is empty" for name, values in contract.label_values.items() if not values]
    for name, bounds in contract.buckets.items():
        problems += _bucket_problems(name, bounds)
    for metric in contract.metrics.values():
        problems += _metric_problems(contract, metric)
    types = get_args(MetricType)
    problems += [
        f"{external.name} has the type {external.type!r}: not one of {', '.join(types)}"
        for external in contract.external.values()
        if external.type not in types
    ]
    return problems


def _metric_problems(contract: Contract, metric: Metric) -> list[str]:
    problems = []
    name = metric.name
    if not _METRIC_NAME.fullmatch(name):
        problems.append(f"{name!r} is not a valid metric name")
    if metric.type not in get_args(MetricType):
        problems.append(f"{name} has the type {metric.type!r}: not one of {', '.join(get_args(MetricType))}")
    if metric.when is not None and metric.when not in get_args(Condition):
        problems.append(f"{name} exists when {metric.when!r}: not one of {', '.join(get_args(Condition))}")
    if (metric.type == "counter") != name.endswith("_total"):
        problems.append(f"{name} is a {metric.type}: counters, and only they, end in _total")
    if metric.rule_group is not None and metric.type == "gauge":
        problems.append(f"{name} is a gauge, which has no rate to record: take out rule_group")
    if not re.search(rf"\b{name}(_bucket|_sum|_count)?\b", metric.example.query):
        problems.append(f"the example query of {name} does not read it: {metric.example.query}")
    if (metric.type == "histogram") != bool(metric.buckets):
        problems.append(f"{name} is a {metric.type}: histograms, and only they, have buckets")
    return problems + _label_problems(contract, metric)


def _label_problems(contract: Contract, metric: Metric) -> list[str]:
    problems = []
    for label, values in metric.labels.items():
        if not _LABEL_NAME.fullmatch(label) or label == "le" or label in contract.target_labels:
            problems.append(f"{metric.name} has the label {label!r}, which is reserved or not a valid name")
        if values not in contract.label_values and values not in contract.open_labels:
            problems.append(f"label {label} of {metric.name} uses the unknown label set {values!r}")
    return problems


def _bucket_problems(name: str, bounds: tuple[str, ...]) -> list[str]:
    try:
        numbers = [float(bound) for bound in bounds]
    except (TypeError, ValueError):
        return [f"buckets {name} are not all numbers written as strings: {bounds!r}"]
    if not numbers or numbers != sorted(set(numbers)) or not all(map(math.isfinite, numbers)):
        return [f"buckets {name} are not finite and strictly increasing: {', '.join(bounds)}"]
    return []
