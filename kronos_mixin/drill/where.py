"""Where the alerts of an installation would go, without firing one."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kronos_mixin import promql
from kronos_mixin.connect import AnswerError, Client
from kronos_mixin.drill.causes import Alerting
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.verify.routing import Routing

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Destination:
    """Where an alert with these labels would go, and what is wrong with that; nothing if somebody would hear."""

    alert: str
    labels: Labels
    receivers: tuple[str, ...]
    wrong: str = ""
    note: str = ""


def destinations(
    mixin: Mixin, installations: Sequence[Labels], alerting: Alerting, routing: Routing, silences: Sequence[Any] = ()
) -> Iterator[Destination]:
    """One for each rule of each installation, whose targets have the given labels."""
    now = datetime.datetime.now(datetime.UTC)
    for installation in installations:
        for group in mixin.alerts:
            for rule in group["rules"]:
                labels = {**alerting.external, **installation, **rule["labels"], "alertname": rule["alert"]}
                yield _destination(labels, alerting, routing, silences, now)


def _destination(
    labels: Labels, alerting: Alerting, routing: Routing, silences: Sequence[Any], now: datetime.datetime
) -> Destination:
    name = labels["alertname"]
    sent, dropped = alerting.relabelled(labels)
    if dropped is not None:
        return Destination(name, sent, (), f"alert_relabel_configs[{dropped}] of Prometheus drops it")
    stops = routing.stops(sent)
    receivers = tuple(dict.fromkeys(stop.receiver for stop in stops))
    if silence := next((one for one in silences if _silences(one, sent)), None):
        by = f"{silence.get('createdBy', '')}: {silence.get('comment', '')}".strip(": ")
        return Destination(name, sent, receivers, f"the silence {silence['id']} hides it ({by})")
    if all(map(routing.is_empty, receivers)):
        return Destination(name, sent, receivers, "that has no integration, and tells nobody")
    quiet = [interval for stop in stops if (interval := routing.silent(stop, now))]
    notes = ["the default receiver: no route takes it"] if any(stop.is_root for stop in stops) else []
    notes += [f"says nothing now, by the time interval {quiet[0]}"] if len(quiet) == len(stops) else []
    return Destination(name, sent, receivers, note="; ".join(notes))


def installations(client: Client, mixin: Mixin) -> list[dict[str, str]]:
    """The labels that alerts of each installation have of their targets. Raises AnswerError."""
    labels = ["job", *mixin.config["aggregationLabels"]]
    expr = f"count by ({', '.join(labels)}) (up{{{mixin.config['selector']}}})"
    found = client.data("/api/v1/query", params={"query": expr})["data"]["result"]
    return [dict(one["metric"]) for one in found] or [{"job": mixin.config["job"]}]


def common_labels(client: Client, mixin: Mixin, without: Sequence[str]) -> dict[str, str]:
    """The labels that all targets have in common, as far as they are not of those. Raises AnswerError."""
    found = client.data("/api/v1/query", params={"query": f"up{{{mixin.config['selector']}}}"})["data"]["result"]
    every = [set(one["metric"].items()) for one in found]
    both = set.intersection(*every) if every else set()
    return {name: value for name, value in sorted(both) if name not in without}


def active_silences(alertmanager: Client) -> list[Any]:
    """The silences that are active now; none where the server does not tell."""
    try:
        return [one for one in alertmanager.data("/api/v2/silences") if one["status"]["state"] == "active"]
    except (AnswerError, KeyError, TypeError):
        return []


def selects(selector: str, labels: Labels) -> bool:
    """Whether label matchers let a target through."""
    return all(matcher.lets_through(labels.get(matcher.label, "")) for matcher in promql.matchers(selector))


def _silences(silence: Any, labels: Labels) -> bool:
    shown = ", ".join(
        f"{one['name']}{_OPERATORS[one.get('isEqual', True), one['isRegex']]}{_quoted(one['value'])}"
        for one in silence["matchers"]
    )
    try:
        return selects(shown, labels)
    except ValueError:
        return False


_OPERATORS = {(True, False): "=", (True, True): "=~", (False, False): "!=", (False, True): "!~"}


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
