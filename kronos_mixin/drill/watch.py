"""Asks the user's Prometheus and Alertmanager what has become of the alerts of a drill."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from kronos_mixin.connect import AnswerError, Client
from kronos_mixin.drill.environment import LABEL, Environment

_FAILED = re.compile(
    r'^alertmanager_notifications_failed_total\{[^}]*integration="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE
)

_PATIENCE = 60.0
"""Seconds that a server may not answer for, as while it restarts."""


@dataclass(frozen=True)
class Alert:
    """An alert as Prometheus or Alertmanager tells of it."""

    labels: Mapping[str, str]
    state: str
    """pending or firing; in Alertmanager active, suppressed or unprocessed."""
    receivers: tuple[str, ...] = ()
    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    """Names of the alerts that mute it."""
    muted_by: tuple[str, ...] = ()
    """Time intervals in which its route says nothing."""


@dataclass(frozen=True)
class Look:
    """What the servers tell at one moment."""

    ready: Mapping[str, int]
    """How many targets of each job are up and recorded."""
    firing: list[Alert]
    """The pending and firing alerts of this drill, as Prometheus has them."""
    sent: list[Alert] | None
    """The alerts of the mixin in Alertmanager, whoever they belong to; None: there is no Alertmanager."""


@dataclass
class Servers:
    """The servers that a drill goes through."""

    environment: Environment
    prometheus: Client
    """Answers queries."""
    ruler: Client
    """Evaluates the rules; mostly the same."""
    alertmanager: Client | None = None
    strangers: set[str] = field(default_factory=set)
    """Alerts of others that targets of the drill have set off."""
    _silent: float = 0.0
    """Since when, on the monotonic clock, one of them has not answered; 0: all do."""

    def __post_init__(self) -> None:
        mixin = self.environment.mixin
        records = [rule["record"] for group in mixin.rules for rule in group["rules"]]
        self._record = next(name for name in records if ":kronos_requests:" in name)
        self._alerts = {rule["alert"] for group in mixin.alerts for rule in group["rules"]}

    def look(self) -> Look | None:
        """What there is now; None while one of the servers does not answer. Raises AnswerError after a minute."""
        try:
            sent = None if self.alertmanager is None else _sent(self.alertmanager)
            look = Look(self._ready(), self._firing(), sent)
        except AnswerError as error:
            refused = error.status is not None and error.status < 500
            self._silent = self._silent or time.monotonic()
            if refused or time.monotonic() - self._silent > _PATIENCE:
                raise
            return None
        self._silent = 0.0
        return look

    def query(self, expr: str) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of each sample of an instant vector. Raises AnswerError."""
        found = self.prometheus.data("/api/v1/query", params={"query": expr})["data"]["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def _ready(self) -> Mapping[str, int]:
        up = f'up{{{LABEL}="true", job=~"{self.environment.job}-.+"}} == 1'
        found = self.query(f"count by (job) (({up}) and on (job) {self._record})")
        return {labels["job"]: int(value) for labels, value in found}

    def _firing(self) -> list[Alert]:
        found = self.ruler.data("/api/v1/alerts")["data"]["alerts"]
        ours = [one for one in found if one["labels"].get("job", "").startswith(f"{self.environment.job}-")]
        names = {one["labels"]["alertname"] for one in ours if one["state"] == "firing"}
        self.strangers |= names - self._alerts
        return [Alert(one["labels"], one["state"]) for one in ours if one["labels"]["alertname"] in self._alerts]


def failed_notifications(alertmanager: Client | None) -> dict[str, float]:
    """How many notifications could not be delivered since its start, by integration; empty if it does not tell."""
    try:
        told = "" if alertmanager is None else alertmanager.get("/metrics").text
    except AnswerError:
        return {}
    found: dict[str, float] = {}
    for integration, count in _FAILED.findall(told):
        found[integration] = found.get(integration, 0.0) + float(count)
    return found


def resolve(alertmanager: Client) -> int:
    """Resolve what a drill that was ended early has left in Alertmanager, which would keep it for minutes; how many.

    Only after its rules are gone: Prometheus would send them again. Raises AnswerError.
    """
    found = alertmanager.data("/api/v2/alerts", params={"filter": [f'{LABEL}="true"', 'alertname=~"Kronos.+"']})
    now = datetime.datetime.now(datetime.UTC).isoformat()
    if ended := [{"labels": one["labels"], "startsAt": one["startsAt"], "endsAt": now} for one in found]:
        answer = alertmanager.post("/api/v2/alerts", json=ended)
        if not answer.is_success:
            raise AnswerError(f"{answer.url} refuses to resolve alerts: {answer.text.strip()}", answer.status_code)
    return len(ended)


def _sent(alertmanager: Client) -> list[Alert]:
    found = alertmanager.data("/api/v2/alerts", params={"filter": 'alertname=~"Kronos.+"'})
    names = {one["fingerprint"]: one["labels"].get("alertname", "") for one in found}
    return [
        Alert(
            one["labels"],
            one["status"]["state"],
            tuple(receiver["name"] for receiver in one["receivers"]),
            tuple(one["status"].get("silencedBy") or ()),
            tuple(names.get(other, other) for other in one["status"].get("inhibitedBy") or ()),
            tuple(one["status"].get("mutedBy") or ()),
        )
        for one in found
    ]
