"""Checks of the series that arrive: each metric of the contract on each target, with its labels and buckets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from kronos_mixin.contract import Metric
from kronos_mixin.verify.check import Check, Finding, Severity
from kronos_mixin.verify.exposed import ON_THE_WAY, Child, Exposed, bound
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed


def _present(stack: Stack) -> Iterator[Finding]:
    exposed = Exposed.of(stack)
    lost: dict[frozenset[tuple[str, ...]], list[str]] = {}
    for metric in exposed.contract.metrics.values():
        expected = exposed.expected(metric)
        names = [metric.name, *(exposed.contract.exposed_series(metric.name) if metric.type == "histogram" else ())]
        if exposed.lacks(metric.name) or max(exposed.targets_having.get(name, 0) for name in names) >= len(expected):
            continue
        without = expected.difference(*(exposed.having(name) for name in names if name in exposed.targets_having))
        if without:
            lost.setdefault(frozenset(without), []).append(metric.name)
    for targets, metrics in lost.items():
        where = "any target" if targets == exposed.targets else listed([stack.named(key) for key in sorted(targets)])
        yield Finding(
            f"there is no {listed(metrics)} of {where}",
            f"take out what drops or renames it on the way ({ON_THE_WAY}); or update the service",
        )


def _labels(stack: Stack) -> Iterator[Finding]:
    exposed = Exposed.of(stack)
    own = sorted({label for metric in exposed.contract.metrics.values() for label in metric.labels})
    taken = {
        label
        for sample in stack.ask(f"count by ({', '.join(f'exported_{one}' for one in own)}) ({exposed.all})")
        for label in own
        if sample.labels.get(f"exported_{label}")
    }
    for label in sorted(taken):
        yield Finding(
            f"a label {label} of the target displaces the one of the service, which is now exported_{label}",
            f"set honor_labels: true in the scrape job, or give the target's label another name than {label}",
        )
    lost, changed, new = dict[str, list[str]](), dict[str, list[str]](), dict[str, list[str]]()
    for name, metric, children in exposed.each():
        for label, value, known in _label_problems(exposed, name, metric, children):
            if label not in taken:
                kind = lost if not value else new if known else changed
                kind.setdefault(f'{label}="{value}"' if value else label, []).append(name)
    if lost:
        names = list(dict.fromkeys(name for several in lost.values() for name in several))
        yield Finding(
            f"the label {listed(list(lost))} is missing, on {listed(names)}",
            f"take out what drops or renames it on the way ({ON_THE_WAY})",
        )
    for pair, names in changed.items():
        yield Finding(
            f"{listed(names)} is there with {pair}, which the service never says",
            f"take out what rewrites it on the way ({ON_THE_WAY})",
        )
    for pair, names in new.items():
        yield Finding(
            f"{listed(names)} is there with {pair}, too, which the contract does not know",
            "compare the versions of service and mixin",
            severity=Severity.warning,
        )


def _label_problems(
    exposed: Exposed, name: str, metric: Metric, children: Mapping[Child, int]
) -> Iterator[tuple[str, str, bool]]:
    """Each label of a series whose values are not those of the contract, one that is wrong, and whether all ours are
    there beside it. The value is empty where the label is missing."""
    for place, label in enumerate(exposed.contract.exposed_series(metric.name)[name]):
        found = {child[place] for child in children}
        if "" in found:
            yield label, "", False
            continue
        values = exposed.contract.values(metric.name, label) if label != "le" else None
        if values is not None and (unknown := found - set(values)):
            yield label, min(unknown), found >= set(values)


def _complete(stack: Stack) -> Iterator[Finding]:
    exposed = Exposed.of(stack)
    for metric in exposed.contract.metrics.values():
        names = exposed.contract.exposed_series(metric.name)
        there = [name for name in names if name in exposed.counts]
        # Targets that have nothing of it are another check's.
        expected = max((exposed.targets_having.get(name, 0) for name in names), default=0)
        for name in there:
            children = exposed.counts[name]
            if any(True for _ in _label_problems(exposed, name, metric, children)):
                continue
            if missing := _missing(exposed, name, metric, children, expected):
                some = max(missing.values())
                where = f" on {expected - some} of {expected} targets" if some else ""
                yield Finding(
                    f"{name} has {_which(names[name], list(missing), exposed, name, metric)}{where}",
                    f"take out what drops it on the way ({ON_THE_WAY}); if the service is older, update it",
                )
        for name in names:
            if there and name not in there and not name.endswith("_bucket"):
                yield Finding(f"there is no {name}", f"take out what drops it on the way ({ON_THE_WAY})")


def _missing(
    exposed: Exposed, name: str, metric: Metric, children: Mapping[Child, int], expected: int
) -> dict[Child, int]:
    """The children that not all targets have, and how many of them do."""
    labels = exposed.contract.exposed_series(metric.name)[name]
    ours = [
        {(label, bound(value) if label == "le" else value) for label, value in child}
        for one in exposed.stack.expositions
        for child in one.series.get(name, ())
    ]
    closed = [
        place for place, label in enumerate(labels) if label == "le" or exposed.contract.values(metric.name, label)
    ]
    found: dict[Child, int] = {}
    for child, count in children.items():
        values = tuple(bound(child[place]) if labels[place] == "le" else child[place] for place in closed)
        found[values] = found.get(values, 0) + count
    return {
        child: found.get(tuple(child[place] for place in closed), 0)
        for child in exposed.children(name, metric)
        if found.get(tuple(child[place] for place in closed), 0) < expected
        # What the service itself does not expose, another check tells.
        and (not ours or any({(labels[place], child[place]) for place in closed} <= one for one in ours))
    }


def _which(labels: Sequence[str], missing: Sequence[Child], exposed: Exposed, name: str, metric: Metric) -> str:
    """Which children are missing, after "has": by one label, if all that have one value of it are."""
    everything = list(exposed.children(name, metric))
    for place, label in enumerate(labels):
        values = sorted({child[place] for child in missing})
        if sum(child[place] in values for child in everything) == len(missing) and len(missing) < len(everything):
            return f"no series with {label} " + listed([f'"{value}"' for value in values])
    if len(missing) == len(everything):
        return "no series"
    pairs = ", ".join(f'{label}="{value}"' for label, value in zip(labels, missing[0], strict=True) if value)
    return f"{len(missing)} of {len(everything)} series missing, such as {{{pairs}}}"


_check = partial(Check, after=("targets-found",))
CHECKS = (
    _check(
        name="series-present",
        looks_at="each metric of the contract, on each target that is up",
        finds="a metric that is dropped or renamed on the way, on all targets or on one; a service too old for it",
        why="What reads it is empty, and an alert over it never fires.",
        run=_present,
    ),
    _check(
        name="series-labels",
        looks_at="the labels of our series, and their values",
        finds="a target's label in place of ours (`exported_*`); a label that was dropped, renamed or rewritten",
        why="Rules select and group by these labels, and find nothing.",
        run=_labels,
    ),
    _check(
        name="series-complete",
        looks_at="each value of each label, and each bucket",
        finds="outcomes, routes or buckets that are dropped on the way; a lost `_sum` or `_count`",
        why="Every series exists at 0 from the start: where one lacks, a ratio or a quantile is wrong.",
        run=_complete,
    ),
)
