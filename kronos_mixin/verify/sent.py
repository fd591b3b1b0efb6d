"""The alerts of the mixin with the labels that an Alertmanager sees."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from kronos_mixin import promql, series
from kronos_mixin.contract import Contract
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.verify.api import Api, QueryError
from kronos_mixin.verify.matchers import Labels
from kronos_mixin.verify.relabel import relabelled

_EXTERNAL = re.compile(r'^-external\.label="(.*)"$', re.MULTILINE)
_MOST_TARGETS, _MOST_VALUES = 500, 12
"""How many targets, and combinations of the values of closed labels, stand for all."""


@dataclass(frozen=True)
class Alert:
    """One alert that may fire. `labels` are those that the ruler gives it, `sent` those that it is sent with.

    `sent` is None if relabelling drops it. `open` are labels that it has, too, but whose values can't be known.
    """

    labels: Labels
    sent: Labels | None
    open: frozenset[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """What the rule is called."""
        return self.labels["alertname"]

    @property
    def severity(self) -> str:
        """How bad it is, as the rule says."""
        return self.labels.get("severity", "")


def alerts(mixin: Mixin, contract: Contract, targets: Sequence[Labels], rulers: Iterable[Api]) -> list[Alert]:
    """Every alert of the mixin, on every target, with each of the values that its labels take.

    Raises ValueError for relabelling that this program can't read.
    """
    known = _known(mixin, contract, targets)
    changes = [way for ruler in rulers for way in ways(ruler)]
    found: dict[tuple[tuple[str, str], ...], Alert] = {}
    for rule in (rule for group in mixin.alerts for rule in group["rules"]):
        result = promql.read(str(rule["expr"]), known).labels or {}
        for labels, unknown in _labels(rule, result, targets):
            # It is sent if any ruler lets it through.
            sent = next((sent for sent in (way.sent(labels) for way in changes) if sent is not None), None)
            found[tuple(sorted(labels.items()))] = Alert(labels, sent, unknown)
    return list(found.values())


@dataclass(frozen=True)
class Way:
    """How one ruler changes the labels of alerts on their way."""

    external: Labels
    relabellings: Sequence[Mapping[str, Any]]

    def sent(self, labels: Labels) -> dict[str, str] | None:
        """The labels on arrival; None if relabelling drops the alert."""
        changed, dropped = relabelled({**self.external, **labels}, self.relabellings)
        return changed if dropped is None else None


def ways(ruler: Api) -> Iterator[Way]:
    """One for each set of Alertmanagers of a ruler; one that changes nothing where it does not tell."""
    try:
        config = yaml.safe_load(ruler.status("config")["yaml"]) or {}
    except (QueryError, KeyError, TypeError, yaml.YAMLError):
        yield Way(_external_of_vmalert(ruler), ())
        return
    given = (config.get("global") or {}).get("external_labels") or {}
    external = {name: str(value) for name, value in given.items()}
    alerting = config.get("alerting") or {}
    common = alerting.get("alert_relabel_configs") or []
    for one in alerting.get("alertmanagers") or [{}]:
        yield Way(external, [*common, *(one.get("alert_relabel_configs") or [])])


def _external_of_vmalert(ruler: Api) -> dict[str, str]:
    """The labels of vmalert's command line, as it shows them: `-external.label="cluster=eu,zone=b"`."""
    try:
        found = _EXTERNAL.search(ruler.text("/flags"))
    except QueryError:
        return {}
    pairs = (pair.partition("=") for pair in found[1].split(",")) if found else ()
    return {name: value for name, _, value in pairs if value}


def _known(mixin: Mixin, contract: Contract, targets: Iterable[Labels]) -> series.Known:
    """All series, with all labels of these targets: an alert on one instance has them, too."""
    names = sorted({name for labels in targets for name in labels} | {*mixin.config["aggregationLabels"]})
    config = {**mixin.config, "aggregationLabels": names}
    return series.known(dataclasses.replace(mixin, config=config), contract)


def _labels(
    rule: Mapping[str, Any], result: promql.Labels, targets: Sequence[Labels]
) -> Iterator[tuple[dict[str, str], frozenset[str]]]:
    """The labels of one rule's alerts, and the names of those whose values are not known."""
    fixed = {name: text for name, text in rule["labels"].items() if "{{" not in text}
    places = {tuple((name, value) for name, value in target.items() if name in result) for target in targets}
    targeted = {name for target in targets for name in target}
    closed = {
        name: sorted(filter(None, values))
        for name, values in result.items()
        if values is not None and name not in {*targeted, *rule["labels"]}
    }
    unknown = frozenset({*result, *rule["labels"]} - {*fixed, *closed, *targeted})
    combined = list(itertools.islice(itertools.product(*closed.values()), _MOST_VALUES))
    for place in sorted(places)[:_MOST_TARGETS]:
        for values in combined:
            own = dict(zip(closed, values, strict=True))
            yield {**dict(place), **own, **fixed, "alertname": rule["alert"]}, unknown
