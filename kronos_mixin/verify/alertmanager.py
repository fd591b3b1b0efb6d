"""A client of Alertmanager's HTTP API, and who sends alerts to which Alertmanager."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kronos_mixin.connect import AnswerError, Connection
from kronos_mixin.verify.api import Api, QueryError
from kronos_mixin.verify.routing import Routing, RoutingError

_API = "/api/v2/alerts"
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

# Counters of rulers: of what they sent, of what failed, and the label that holds the address.
_COUNTERS = (
    ("prometheus_notifications_sent_total", "prometheus_notifications_errors_total", "alertmanager"),
    ("vmalert_alerts_sent_total", "vmalert_alerts_send_errors_total", "addr"),
    ("thanos_alert_sender_alerts_sent_total", "thanos_alert_sender_errors_total", "alertmanager"),
)


class Alertmanager:
    """One Alertmanager. Answers are kept. Everything raises AnswerError if it does not answer or refuses."""

    def __init__(self, connection: Connection) -> None:
        self.url = connection.url
        self._client = connection.client()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @cached_property
    def status(self) -> Mapping[str, Any]:
        """`cluster`, `config`, `uptime` and `versionInfo`, as in its API."""
        found = self._client.data("/api/v2/status")
        if not isinstance(found, dict) or "config" not in found:
            raise AnswerError(f"{self.url} is no Alertmanager: /api/v2/status has no `config`")
        return found

    @cached_property
    def routing(self) -> Routing:
        """The routes and receivers of the configuration that it runs."""
        try:
            return Routing(str(self.status["config"]["original"]))
        except RoutingError as error:
            raise AnswerError(f"{self.url}: {error}") from error

    @cached_property
    def silences(self) -> list[dict[str, Any]]:
        """All silences that have not expired, as in the API."""
        return [one for one in self._client.data("/api/v2/silences") if one["status"]["state"] != "expired"]

    @cached_property
    def alerts(self) -> list[dict[str, Any]]:
        """All alerts that it holds now, as in the API; those that are muted, too."""
        found: list[dict[str, Any]] = self._client.data("/api/v2/alerts")
        return found

    @cached_property
    def metrics(self) -> Metrics:
        """What it exposes of itself."""
        answer = self._client.get("/metrics")
        if not answer.is_success:
            raise AnswerError(f"{self.url}/metrics answers {answer.status_code}", answer.status_code)
        return Metrics(answer.text)

    @cached_property
    def peers(self) -> frozenset[str]:
        """The names of the members of its cluster, itself among them; empty if it is in none."""
        return frozenset(one["name"] for one in self.status["cluster"].get("peers") or ())

    def is_same(self, other: Alertmanager) -> bool:
        """Whether the other is this one under another address, or in the same cluster."""
        if self.peers or other.peers:
            return bool(self.peers & other.peers)
        return bool(
            self.status["uptime"] == other.status["uptime"] and self.status["config"] == other.status["config"]
        )


class Metrics:
    """An exposition, as text."""

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        for name, labels, value in _SAMPLE.findall(text):
            self._samples.setdefault(name, []).append((dict(_LABEL.findall(labels)), float(value)))

    def of(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series of a metric."""
        return self._samples.get(name, [])

    def by(self, label: str, name: str) -> dict[str, float]:
        """The sums of a metric by the values of a label."""
        sums: dict[str, float] = {}
        for labels, value in self.of(name):
            sums[labels.get(label, "")] = sums.get(labels.get(label, ""), 0) + value
        return sums


@dataclass(frozen=True)
class Destination:
    """An Alertmanager as a ruler knows it, and how many alerts it tried to send there since it started."""

    url: str
    sent: float = 0
    failed: float = 0


@dataclass(frozen=True)
class Destinations:
    """All Alertmanagers of a ruler; `dropped` are those that its relabelling leaves out."""

    active: tuple[Destination, ...]
    dropped: int = 0


def destinations(ruler: Api) -> Destinations | None:
    """Where a ruler sends alerts; None if it does not say. Raises QueryError if it does not answer.

    Prometheus says it in its API. vmalert and Thanos have none for it, or have had none for long, but their metrics
    tell.
    """
    active, dropped = _of_api(ruler)
    try:
        counted = _counted(Metrics(ruler.text("/metrics")))
    except QueryError as error:
        if error.status is None:
            raise
        counted = {}
    if active is None:
        return Destinations(tuple(counted.values())) if counted else None
    return Destinations(tuple(counted.get(url, Destination(url)) for url in active), dropped)


def _of_api(ruler: Api) -> tuple[list[str] | None, int]:
    try:
        found = ruler.alertmanagers()
    except QueryError as error:
        if error.status is None:
            raise
        return None, 0
    dropped = found.get("droppedAlertmanagers") or ()
    return [_base(one["url"]) for one in found.get("activeAlertmanagers") or ()], len(dropped)


def _counted(metrics: Metrics) -> dict[str, Destination]:
    found: dict[str, Destination] = {}
    for sent, failed, label in _COUNTERS:
        failures = metrics.by(label, failed)
        for address, count in metrics.by(label, sent).items():
            # Prometheus counts failures among those that were sent, vmalert does not.
            tried = max(count, failures.get(address, 0))
            found[_base(address)] = Destination(_base(address), tried, failures.get(address, 0))
    return found


def _base(address: str) -> str:
    """The address of an Alertmanager by that of its API."""
    return re.sub(r"/api/v[12]/alerts$", "", address)
