"""Where an alert of a drill got lost, and most likely why."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from kronos_mixin.connect import AnswerError, Client
from kronos_mixin.drill.environment import LABEL
from kronos_mixin.drill.play import Case, Stage
from kronos_mixin.drill.watch import Servers
from kronos_mixin.verify.relabel import relabelled
from kronos_mixin.verify.routing import Routing, RoutingError


@dataclass(frozen=True)
class Lost:
    """The stage that an alert did not reach, and the likely cause."""

    stage: str
    cause: str


class Causes:
    """What the servers say about themselves, asked once while the drill still runs."""

    def __init__(self, servers: Servers) -> None:
        self._targets = _data(servers.prometheus, "/api/v1/targets?state=active").get("activeTargets") or []
        self._rules = [
            rule
            for group in _data(servers.ruler, "/api/v1/rules").get("groups") or []
            for rule in group["rules"]
            if rule.get("labels", {}).get(LABEL) == "true"
        ]
        known = _data(servers.ruler, "/api/v1/alertmanagers").get("activeAlertmanagers") or []
        self._known = [one["url"] for one in known]
        self._config = alerting(servers.ruler)
        self._asked = servers.alertmanager
        self.routing = routing_of(servers.alertmanager)

    def lost(self, case: Case) -> Lost | None:
        """Where a case got lost; None: it was seen all the way, by people who would have been told."""
        reached = case.times
        if Stage.pending not in reached:
            return Lost("expression", self._silent(case))
        if Stage.firing not in reached:
            return Lost("firing", "it was pending, but not for long enough: did scrapes or evaluations fail?")
        if Stage.arrived not in reached:
            return Lost("Alertmanager", self._unsent(case))
        if case.sent is not None and case.sent.silenced_by:
            return Lost(
                "receiver", f"it is silenced by {', '.join(case.sent.silenced_by)}: `amtool silence query` shows it"
            )
        if case.sent is not None and self._empty(case.sent.receivers):
            names = ", ".join(case.sent.receivers)
            return Lost("receiver", f"its route leads to {names}, which has no integration and tells nobody")
        if Stage.resolved not in reached:
            return Lost("resolving", "it still fires, though its fault has been mended")
        if Stage.gone not in reached:
            return Lost("resolving", "Prometheus has resolved it, but Alertmanager still has it")
        return None

    def _silent(self, case: Case) -> str:
        mine = [one for one in self._targets if one["labels"].get("job") == case.job]
        failing = [one for one in mine if one["health"] == "down" and "503" not in one["lastError"]]
        if failing:
            return f"Prometheus can't scrape {failing[0]['scrapeUrl']}: {failing[0]['lastError']}"
        rules = [rule for rule in self._rules if rule["name"] == case.expected.alert]
        if not rules:
            return "Prometheus has not loaded the rule"
        if broken := next((rule for rule in rules if rule.get("health") == "err"), None):
            return f"the rule fails: {broken['lastError']}"
        if not mine and case.expected.alert != "KronosTargetMissing":
            return "service discovery gave Prometheus no target for it"
        return "its expression had no result: are scrapes or evaluations late, or is something relabelled away?"

    def _unsent(self, case: Case) -> str:
        if not self._known:
            return "Prometheus knows no Alertmanager: `alerting:` in its configuration is empty, or finds none"
        _, dropped = self._config.relabelled(self.sent_labels(case))
        if dropped is not None:
            return f"alert_relabel_configs[{dropped}] of Prometheus drops it"
        others = f"Prometheus sends to {', '.join(self._known)}"
        if self._asked is None:
            return f"{others}; no --alertmanager was asked"
        ours = self._asked.base_url
        if not any(urllib.parse.urlsplit(url).netloc == ours.netloc.decode() for url in self._known):
            return f"{others}: is one of them the Alertmanager at {ours}?"
        return f"{others}, which did not take it: their logs say more"

    def sent_labels(self, case: Case) -> dict[str, str]:
        """The labels of an alert before Prometheus relabels it."""
        return {**self._config.external, **case.labels, "alertname": case.expected.alert, "job": case.job}

    def _empty(self, receivers: tuple[str, ...]) -> bool:
        routing = self.routing
        return routing is not None and all(map(routing.is_empty, receivers))


@dataclass(frozen=True)
class Alerting:
    """What a Prometheus does to alerts before it sends them."""

    external: Mapping[str, str]
    rules: list[Mapping[str, Any]]
    configured: bool
    """Whether its configuration says where Alertmanagers are."""

    def relabelled(self, labels: Mapping[str, str]) -> tuple[dict[str, str], int | None]:
        """The labels as they are sent, and the place of the rule that drops the alert.

        Unchanged, and None, if this program can't read a rule.
        """
        try:
            return relabelled(labels, self.rules)
        except ValueError:
            return dict(labels), None


def alerting(ruler: Client) -> Alerting:
    """External labels and alert_relabel_configs; nothing where the server does not tell."""
    try:
        config = yaml.safe_load(_data(ruler, "/api/v1/status/config").get("yaml") or "") or {}
    except yaml.YAMLError:
        config = {}
    section = config.get("alerting") or {}
    external = (config.get("global") or {}).get("external_labels") or {}
    labels = {str(name): str(value) for name, value in external.items()}
    return Alerting(labels, section.get("alert_relabel_configs") or [], bool(section.get("alertmanagers")))


def routing_of(alertmanager: Client | None) -> Routing | None:
    """The routes of an Alertmanager; None if it can't be asked or understood."""
    if alertmanager is None:
        return None
    try:
        return Routing(alertmanager.data("/api/v2/status")["config"]["original"])
    except (AnswerError, RoutingError, KeyError, TypeError):
        return None


def _data(client: Client, path: str) -> Any:
    try:
        return client.data(path)["data"]
    except (AnswerError, KeyError, TypeError):
        return {}
