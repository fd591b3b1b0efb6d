"""What has arrived of each metric of the contract, over all targets, with the labels that the contract gives it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from kronos_mixin.contract import Contract, Metric
from kronos_mixin.verify.check import Unasked
from kronos_mixin.verify.stack import Stack

ON_THE_WAY = "metric_relabel_configs of the scrape job, write_relabel_configs, match[] of a federation"
"""Where series are lost."""

Child = tuple[str, ...]
"""The values of the labels of a series, `le` as a number's shortest text, in the contract's order."""


@dataclass(frozen=True)
class Exposed:
    """The series of a stack's targets; one query tells of them all, however many targets there are."""

    stack: Stack

    @classmethod
    def of(cls, stack: Stack) -> Exposed:
        """Raises Unasked if there is nothing to look at."""
        exposed = cls(stack)
        if not exposed.targets:
            raise Unasked("no target is up and exposes Kronos")
        return exposed

    @cached_property
    def targets(self) -> set[tuple[str, ...]]:
        """The targets that are up and have any series of ours."""
        up = self.stack.by_key(f"{self.stack.recent(f'up{{{self.stack.selector}}}')} == 1")
        return up.keys() & self.stack.by_key(self.all).keys()

    @cached_property
    def native(self) -> set[str]:
        """The histograms that have arrived as native ones."""
        names = "|".join(metric.name for metric in self.contract.metrics.values() if metric.type == "histogram")
        selector = f'{{__name__=~"{names}",{self.stack.selector}}}'
        found = self.stack.ask(f"count by (__name__) ({self.stack.recent(selector)})")
        return {sample.labels["__name__"] for sample in found}

    def expected(self, metric: Metric) -> set[tuple[str, ...]]:
        """The targets that should have a metric: not all of them have a GPU, or have loaded their model."""
        conditions = {
            "model_loaded": self.stack.recent(f"kronos_model_ready{{{self.stack.selector}}}") + " == 1",
            "gpu": self.stack.recent(f'kronos_model_info{{device=~"cuda.*",{self.stack.selector}}}'),
        }
        if metric.when is None:
            return self.targets
        return self.targets & self.stack.by_key(conditions[metric.when]).keys()

    @cached_property
    def targets_having(self) -> Mapping[str, int]:
        """How many targets have a series, by its name."""
        each = f"group by (__name__, {', '.join(self.stack.identity)}) ({self.all})"
        return {one.labels["__name__"]: round(one.value) for one in self.stack.ask(f"count by (__name__) ({each})")}

    def lacks(self, name: str) -> bool:
        """Whether the service itself does not expose a series, which another check tells."""
        return any(name not in one.series and name not in one.types for one in self.stack.expositions)

    def having(self, name: str) -> set[tuple[str, ...]]:
        """The targets that have a series of this name."""
        return self.targets & self.stack.by_key(self.stack.recent(f"{name}{{{self.stack.selector}}}")).keys()

    @property
    def contract(self) -> Contract:
        """The contract of the stack."""
        return self.stack.contract

    @cached_property
    def counts(self) -> Mapping[str, Mapping[Child, int]]:
        """For each series name and each set of values of its labels, how many targets have it."""
        labels = sorted({label for metric in self.contract.metrics.values() for label in metric.labels} | {"le"})
        by = ", ".join(["__name__", *labels])
        each = f"group by ({by}, {', '.join(self.stack.identity)}) ({self.all})"
        found: dict[str, dict[Child, int]] = {}
        exposed = {
            name: own
            for metric in self.contract.metrics
            for name, own in self.contract.exposed_series(metric).items()
        }
        for sample in self.stack.ask(f"count by ({by}) ({each})"):
            name = sample.labels["__name__"]
            if name in exposed:
                child = tuple(sample.labels.get(label, "") for label in exposed[name])
                found.setdefault(name, {})[child] = round(sample.value)
        return found

    def each(self) -> Iterator[tuple[str, Metric, Mapping[Child, int]]]:
        """Every series name that has arrived, with its metric and its children."""
        for metric in self.contract.metrics.values():
            for name in self.contract.exposed_series(metric.name):
                if children := self.counts.get(name):
                    yield name, metric, children

    def children(self, name: str, metric: Metric) -> Iterator[Child]:
        """Every set of label values that a series of a metric has from the start, its open labels left empty."""
        for values in itertools.product(
            *(
                [bound(one) for one in (*metric.buckets, "+Inf")]
                if label == "le"
                else self.contract.values(metric.name, label) or [""]
                for label in self.contract.exposed_series(metric.name)[name]
            )
        ):
            yield tuple(values)

    @property
    def all(self) -> str:
        """All series of ours, as an expression."""
        return self.stack.recent(f'{{__name__=~"kronos_.+",{self.stack.selector}}}')


def bound(text: str) -> str:
    """A bucket's boundary as a number's shortest text: 5.0 and 5 are both 5. Anything else stays as it is."""
    try:
        number = float(text)
    except ValueError:
        return text
    return "+Inf" if math.isinf(number) else f"{number:.15g}"
