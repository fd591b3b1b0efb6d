"""Checks of the service itself: its version, and what it exposes, against what was compiled."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from kronos_mixin import __version__
from kronos_mixin.contract import Contract, Metric
from kronos_mixin.verify.check import Check, Finding, Severity, Skip
from kronos_mixin.verify.exposition import Exposition
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed


def _version(stack: Stack) -> Iterator[Finding]:
    found = stack.ask(f"count by (version) ({stack.recent(f'kronos_build_info{{{stack.selector}}}')})")
    if not found:
        raise Skip("no instance tells its version")
    for sample in found:
        version = sample.labels.get("version", "")
        ours, theirs = _numbers(__version__), _numbers(version)
        if not theirs or ours == theirs:
            continue
        breaking = ours[0] != theirs[0]
        if breaking or theirs < ours:
            yield Finding(
                f"{sample.value:.0f} instances have version {version}, and this mixin is of {__version__}",
                "update the older of both: the service, or the mixin, and load its rules and dashboards again",
                why="" if breaking else "Metrics that are newer than the service are not there.",
                severity=Severity.error if breaking else Severity.warning,
            )


def _numbers(version: str) -> tuple[int, ...]:
    """The major and the minor version; empty if it has none."""
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if len(parts) == 2 and all(map(str.isdigit, parts)) else ()


def _contract(stack: Stack) -> Iterator[Finding]:
    if not stack.expositions:
        raise Skip("no target can be read from here: name an instance by --service URL")
    for exposition in stack.expositions:
        if not any(name.startswith("kronos_") for name in exposition.series):
            continue  # Another service, which another check tells.
        if wrong := list(_differences(stack.contract, exposition)):
            yield Finding(
                f"{exposition.url} exposes something else than the contract says: {listed(wrong)}",
                "update the older of both: the service, or the mixin, and load its rules and dashboards again",
            )
        unknown = sorted(
            name
            for name in exposition.types
            if name.startswith("kronos_") and name not in stack.contract.metrics and not name.endswith("_created")
        )
        if unknown:
            yield Finding(
                f"{exposition.url} exposes {listed(unknown)}, which this mixin does not know",
                "update the mixin, and load its rules and dashboards again",
                severity=Severity.warning,
            )


def _differences(contract: Contract, exposition: Exposition) -> Iterator[str]:
    for metric in contract.metrics.values():
        if metric.name not in exposition.types:
            if metric.when is None:
                yield f"no {metric.name}"
            continue
        if (kind := exposition.types[metric.name]) != metric.type:
            yield f"{metric.name} as {kind}, not {metric.type}"
            continue
        for name, labels in contract.exposed_series(metric.name).items():
            yield from _children(contract, metric, name, labels, exposition)


def _children(
    contract: Contract, metric: Metric, name: str, labels: tuple[str, ...], exposition: Exposition
) -> Iterator[str]:
    """What is wrong with the series of one name."""
    there = exposition.series.get(name, set())
    if not there:
        if metric.when is None:
            yield f"no {name}"
        return
    if {label for child in there for label, _ in child} != set(labels):
        found = sorted({label for child in there for label, _ in child})
        yield f"{name} with the labels {', '.join(found) or 'none'}, not {', '.join(labels) or 'none'}"
        return
    closed = {
        label: [*metric.buckets, "+Inf"] if label == "le" else contract.values(metric.name, label) for label in labels
    }
    known = {label: values for label, values in closed.items() if values is not None}
    have = {frozenset(pair for pair in child if pair[0] in known) for child in there}
    wanted = {
        frozenset(zip(known, values, strict=True)) for values in itertools.product(*(known[label] for label in known))
    }
    if lost := wanted - have:
        yield f"{len(lost)} series of {name} less, such as {_braces(min(map(sorted, lost)))}"
    if more := have - wanted:
        yield f"{len(more)} series of {name} more, such as {_braces(min(map(sorted, more)))}"


def _braces(pairs: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f'{label}="{value}"' for label, value in pairs) + "}"


CHECKS = (
    Check(
        name="service-version",
        looks_at="the version of each instance, against that of the mixin",
        finds="a service that is older than the mixin, or of another major version",
        why="Names or labels of metrics differ between major versions.",
        run=_version,
        after=("prometheus-answers",),
    ),
    Check(
        name="service-contract",
        looks_at="what an instance itself exposes, where it can be read from here",
        finds="a metric, label, value or bucket that the service exposes otherwise than the contract says",
        why="Rules read what the contract says.",
        run=_contract,
        after=("targets-found",),
    ),
)
