"""Scrapes of the service, parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from kronos_service.api.paths import METRICS_PATH

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """Every series with its value, and the size of the text in characters."""

    values: Mapping[Series, float]
    size: int

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of `name` that have `labels`."""
        wanted = set(labels.items())
        return sum(value for (series, have), value in self.values.items() if series == name and wanted <= have)

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], int]:
        """The counts of `name` by the values of `labels`, without zeros."""
        counts: dict[tuple[str, ...], int] = {}
        for (series, have), value in self.values.items():
            if series == name and value:
                known = dict(have)
                key = tuple(known[label] for label in labels)
                counts[key] = counts.get(key, 0) + int(value)
        return counts


def scrape(client: httpx.Client) -> Scrape:
    """Scrape the service at the base URL of `client`."""
    text = client.get(METRICS_PATH).raise_for_status().text
    values = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return Scrape(values, len(text))


def difference(before: Mapping[tuple[str, ...], int], after: Mapping[tuple[str, ...], int]) -> dict[str, int]:
    """The increase between two scrapes, by label values joined with spaces; without zeros."""
    return {
        " ".join(key): after.get(key, 0) - before.get(key, 0)
        for key in sorted({*before, *after})
        if after.get(key, 0) != before.get(key, 0)
    }
