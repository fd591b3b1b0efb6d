"""Two instances on which no two series show the same, so that what reads another one shows another number.

All counters rise at a steady pace. Instance b counts twice as fast as a.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from simulate import CONTRACT, OPEN

PLACE = {"cluster": "c", "job": "kronos-api", "namespace": "n"}
INSTANCES = {"a": 1, "b": 2}
"""With what each multiplies a pace."""

Labels = Mapping[str, str]

VALUES = OPEN | {
    "model": ("small",),
    "revision": ("4f2a",),
    "tokenizer": ("base",),
    "tokenizer_revision": ("8c1d",),
    "device": ("cpu",),
    "dtype": ("float32",),
    "version": ("1.0.0",),
    "python": ("3.11",),
    "torch": ("2.13",),
    "generation": ("0", "1", "2"),
}

# Hardly any of a thousand requests fails or is slow, so that error budgets are neither full nor empty.
REQUESTS = {"success": 3000, "error": 1, "overloaded": 2, "timeout": 3, "unavailable": 4}
DURATIONS = {"success": 30, "unavailable": 7, "timeout": 1, "cancelled": 2, "error": 5}

NUMBERS = {name: number for number, name in enumerate((*CONTRACT.metrics, *CONTRACT.external), start=2)}


def children(metric: str) -> Iterator[dict[str, str]]:
    """The labels of each series of a metric; external ones have those alone of which there are values above."""
    if metric in CONTRACT.metrics:
        known = {label: CONTRACT.values(metric, label) or VALUES[label] for label in CONTRACT.metrics[metric].labels}
    else:
        known = {label: VALUES[label] for label in CONTRACT.external[metric].labels if label in VALUES}
    for values in itertools.product(*known.values()):
        yield dict(zip(known, values, strict=True))


def matching(metric: str, wanted: Mapping[str, str | tuple[str, ...]]) -> Iterator[tuple[int, dict[str, str]]]:
    """The children of a metric with those labels, and their numbers."""
    for number, labels in enumerate(children(metric)):
        if all(labels[name] in ([value] if isinstance(value, str) else value) for name, value in wanted.items()):
            yield number, labels


def pace(metric: str, number: int, labels: Labels) -> float:
    """Events per second of a child, on instance a."""
    if metric == "kronos_requests_total":
        return REQUESTS.get(labels["status"], 11) * (1 if labels["route"].endswith("single") else 0.5)
    if metric == "kronos_request_duration_seconds":
        return DURATIONS[labels["status"]]
    return NUMBERS[metric] + number / 8


def rate(metric: str, instances: float = 3, **wanted: str | tuple[str, ...]) -> float:
    """Events per second of all children with those labels, on both instances."""
    return instances * sum(pace(metric, number, labels) for number, labels in matching(metric, wanted))


def gauge(metric: str, instance: str) -> float:
    """What an instance shows, in total."""
    return NUMBERS[metric] * INSTANCES[instance] * sum(1 for _ in children(metric))


def observed(metric: str, number: int, labels: Labels, instance: str) -> dict[str, float]:
    """Observations per second up to each boundary: 60 % are in one bucket, 36 % in the next, 4 % in the one after."""
    buckets = CONTRACT.metrics[metric].buckets
    first = (NUMBERS[metric] + number + INSTANCES[instance]) % (len(buckets) - 3)
    if metric == "kronos_request_duration_seconds":
        first = {"success": 4, "cancelled": 7}.get(labels["status"], len(buckets) - 4) + number % 2
    if metric == "kronos_model_inference_seconds":
        first = 7 + number
    shares = [0.0] * first + [0.6, 0.96]
    whole = pace(metric, number, labels) * INSTANCES[instance]
    return {le: whole * (shares[at] if at < len(shares) else 1) for at, le in enumerate((*buckets, "+Inf"))}


def buckets(
    metric: str, instances: tuple[str, ...] = ("a", "b"), **wanted: str | tuple[str, ...]
) -> dict[str, float]:
    """Observations per second up to each boundary, of all children with those labels."""
    found: dict[str, float] = {}
    for number, labels in matching(metric, wanted):
        for instance in instances:
            for le, count in observed(metric, number, labels, instance).items():
                found[le] = found.get(le, 0) + count
    return found


def quantile(q: float, cumulative: Mapping[str, float]) -> float:
    """The quantile, interpolated within its bucket as Prometheus does."""
    rank, below, under = q * cumulative["+Inf"], 0.0, 0.0
    for le, count in cumulative.items():
        if count >= rank:
            return under if le == "+Inf" else under + (float(le) - under) * (rank - below) / (count - below)
        below, under = count, float(le)
    raise AssertionError(cumulative)


def series(steps: int) -> dict[str, str]:
    """All series as promtool's notation, one value each 15 s."""
    found = {}
    for metric, instance in itertools.product(NUMBERS, INSTANCES):
        if metric.startswith("ALERTS"):
            continue
        kind = CONTRACT.metrics[metric].type if metric in CONTRACT.metrics else CONTRACT.external[metric].type
        for number, labels in enumerate(children(metric)):

            def add(name: str, values: str, instance: str = instance, **labels: str) -> None:
                found[selector(name, **PLACE, instance=instance, **labels)] = values

            if kind == "gauge":
                add(metric, f"{NUMBERS[metric] * INSTANCES[instance]}x{steps}", **labels)
            elif kind == "counter":
                add(metric, f"0+{pace(metric, number, labels) * INSTANCES[instance] * 15:g}x{steps}", **labels)
            else:
                counts = observed(metric, number, labels, instance)
                for le, count in counts.items():
                    add(f"{metric}_bucket", f"0+{count * 15:.10g}x{steps}", **labels, le=le)
                add(f"{metric}_count", f"0+{counts['+Inf'] * 15:.10g}x{steps}", **labels)
                add(f"{metric}_sum", f"0+{counts['+Inf'] * 15 * mean(metric, number):.10g}x{steps}", **labels)
    return found


def mean(metric: str, number: int) -> float:
    """What each observation of a child is worth in its sum."""
    return NUMBERS[metric] * 10 + number


def selector(name: str, **labels: str) -> str:
    return name + "{" + ", ".join(f'{key}="{value}"' for key, value in sorted(labels.items())) + "}"
