"""The running stack that checks look at, and what it should hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, TypeVar

import yaml

from kronos_mixin import promql, windows
from kronos_mixin.connect import AnswerError, ConnectError, Connection, Connections
from kronos_mixin.contract import Contract
from kronos_mixin.grafana import Dashboard, Grafana
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.verify.alertmanager import Alertmanager, Destinations, destinations
from kronos_mixin.verify.api import Api, QueryError, Sample
from kronos_mixin.verify.exposition import Exposition, parse
from kronos_mixin.verify.ruler import Ruler, configured
from kronos_mixin.verify.sent import Alert, alerts
from kronos_mixin.verify.target import Target, by_series, of_api, of_series, pace

Client = TypeVar("Client", Api, Ruler, Alertmanager, Grafana)

_READ, _PATIENCE = 5, 3.0
"""How many targets are read themselves, and how many seconds each may take."""


@dataclass(frozen=True)
class Stack:
    """The servers, the mixin as the user's configuration compiles, and its contract. Answers are kept: ask freely.

    All queries are about the same moment, `now`, so that answers fit together. A context manager, which closes what
    it has opened.
    """

    connections: Connections
    mixin: Mixin
    contract: Contract
    _answers: dict[str, list[Sample]] = field(default_factory=dict, repr=False, compare=False)
    _exit: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @cached_property
    def prometheus(self) -> Api:
        """Who is asked for series and targets."""
        return self._opened(Api(self._prometheus))

    @cached_property
    def rulers(self) -> tuple[Ruler, ...]:
        """Who evaluates the rules: those that were named, or else Prometheus itself."""
        return tuple(self._opened(Ruler(one)) for one in self.connections.rulers or (self._prometheus,))

    @cached_property
    def destinations(self) -> dict[str, Destinations | None]:
        """Where each ruler, by its address, sends alerts; None if it does not say."""
        return {ruler.url: destinations(ruler) for ruler in self.rulers}

    @cached_property
    def alertmanagers(self) -> tuple[Alertmanager, ...]:
        """Those that get the alerts: the one that was named, or else all that the rulers say they send to."""
        if self.connections.alertmanager:
            return (self._opened(Alertmanager(self.connections.alertmanager)),)
        told = [one.url for found in self.destinations.values() if found for one in found.active]
        return tuple(self._opened(Alertmanager(Connection.to(url))) for url in dict.fromkeys(told))

    @cached_property
    def alerts(self) -> list[Alert]:
        """Our alerts, as they are sent. Raises ValueError for relabelling that this program can't read."""
        targets = [target.labels for target in self.targets] or [{"job": self.job}]
        return alerts(self.mixin, self.contract, targets, self.rulers)

    @cached_property
    def grafana(self) -> Grafana | None:
        """The Grafana that was named."""
        return self._opened(Grafana(self.connections.grafana)) if self.connections.grafana else None

    @cached_property
    def dashboards(self) -> dict[str, Dashboard | None]:
        """Our dashboards as that Grafana keeps them, by the names of their files; None: it has none of that uid."""
        boards = self.mixin.dashboards
        return {file: self.grafana.dashboard(board["uid"]) for file, board in boards.items()} if self.grafana else {}

    @property
    def job(self) -> str:
        """The job that the rules select by."""
        name: str = self.mixin.config["job"]
        return name

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The rule groups that should be loaded."""
        return [*self.mixin.rules, *self.mixin.alerts]

    @property
    def selector(self) -> str:
        """The matchers that every rule has, as between braces."""
        text: str = self.mixin.config["selector"]
        return text

    @cached_property
    def identity(self) -> tuple[str, ...]:
        """The labels by which the rules tell targets apart."""
        return ("job", "instance", *self.mixin.config["aggregationLabels"])

    def key(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The values of the labels of `identity`."""
        return tuple(labels.get(label, "") for label in self.identity)

    def named(self, key: tuple[str, ...]) -> str:
        """A target by its key: the instance, and the other labels that it has, but the job."""
        labels = dict(zip(self.identity, key, strict=True))
        others = [f"{label}={value}" for label, value in labels.items() if value and label not in {"job", "instance"}]
        return labels["instance"] + (f" ({', '.join(others)})" if others else "")

    def by_key(self, expr: str) -> dict[tuple[str, ...], Sample]:
        """How many series of an expression each target has."""
        samples = self.ask(f"count by ({', '.join(self.identity)}) ({expr})")
        return {self.key(sample.labels): sample for sample in samples}

    @cached_property
    def now(self) -> float:
        """The moment that all queries are about, by the server's clock, in Unix seconds."""
        return self.prometheus.query("time()")[0].value

    def ask(self, expr: str) -> list[Sample]:
        """The value of an expression now."""
        if expr not in self._answers:
            self._answers[expr] = self.prometheus.query(expr, at=self.now)
        return self._answers[expr]

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether the rules read the series of a target with these labels."""
        return all(one.lets_through(labels.get(one.label, "")) for one in promql.matchers(self.selector))

    @cached_property
    def all_targets(self) -> list[dict[str, Any]]:
        """All that the server scrapes, as in its API; empty if it has none, as where others write to it."""
        try:
            return self.prometheus.targets()
        except QueryError as error:
            if error.status is None:
                raise
            return []

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The targets of the job: those that this server scrapes, or else those whose `up` it holds."""
        scraped = of_api(self.all_targets, self.selects)
        return scraped or of_series(self.ups)

    @cached_property
    def expositions(self) -> tuple[Exposition, ...]:
        """What the named instance exposes, or else those targets, of the first few, that can be read from here."""
        if (named := self.connections.service) is not None:
            return (self._exposition(named, self.contract.metrics_path),)
        found = []
        for target in [one for one in self.targets if one.up and one.url][:_READ]:
            with suppress(AnswerError, ConnectError):
                found.append(self._exposition(Connection.to(target.url), ""))
        return tuple(found)

    def _exposition(self, instance: Connection, path: str) -> Exposition:
        url = instance.url + path
        with instance.client(seconds=_PATIENCE) as client:
            answer = client.get(url)
        if not answer.is_success:
            raise AnswerError(f"{url} answers {answer.status_code} {answer.reason_phrase}", answer.status_code)
        return parse(url, answer.text)

    @cached_property
    def ups(self) -> list[Sample]:
        """All samples of the job's `up` within the last minutes, of series that still get any."""
        recent = self.ask(f"up{{{self.selector}}}[5m]")
        # What others send may lag, and does so for all of them alike.
        scrapes = self.all_targets or self.configuration.get("scrape_configs")
        living = self.alive(f"up{{{self.selector}}}") if scrapes else self.ask(f"up{{{self.selector}}}")
        there = {frozenset(sample.labels.items()) for sample in living}
        return [sample for sample in recent if frozenset(sample.labels.items()) in there]

    def alive(self, selector: str) -> list[Sample]:
        """The last sample of each series, of a few, that still gets any, at the pace at which it got them."""
        return [samples[-1] for samples in by_series(self.ask(f"{selector}[5m]")) if self._is_alive(samples)]

    def _is_alive(self, samples: list[Sample]) -> bool:
        times = [sample.timestamp for sample in samples]
        apart = pace(times, least=1) or windows.seconds(self.mixin.config["scrape"]["interval"])
        return self.now - times[-1] <= 3 * apart + 2

    def recent(self, selector: str) -> str:
        """The last sample of each series that had one within three scrapes, as an expression.

        A plain selector goes on to show a series for five minutes after a reload has ended it.
        """
        return f"last_over_time({selector}[{self._window}s])"

    @cached_property
    def _window(self) -> int:
        """Seconds: three scrapes, and as much as the last samples are late."""
        compiled = windows.seconds(self.mixin.config["scrape"]["interval"])
        interval = max((target.interval or 0 for target in self.targets), default=0) or compiled
        late = self.now - max((sample.timestamp for sample in self.ups), default=self.now)
        return math.ceil(3 * interval + max(late, 0)) + 2

    @cached_property
    def flags(self) -> Mapping[str, str]:
        """The command line of Prometheus; empty if it does not say."""
        return self._status("flags")

    @cached_property
    def configuration(self) -> Mapping[str, Any]:
        """The configuration that Prometheus runs; empty if it does not say, as Mimir and Thanos don't."""
        try:
            found = yaml.safe_load(self._status("config").get("yaml", ""))
        except yaml.YAMLError:
            return {}
        return found if isinstance(found, dict) else {}

    @cached_property
    def runtime(self) -> Mapping[str, Any]:
        """What the server says of its process: `storageRetention`, `startTime`; empty if it does not say."""
        return self._status("runtimeinfo")

    @property
    def configured(self) -> float | None:
        """When Prometheus last read its configuration, in Unix seconds; None if it does not say."""
        return configured(self.runtime)

    @cached_property
    def build(self) -> Mapping[str, Any]:
        """What the server says that it is: `version`, for Mimir `application`, for VictoriaMetrics no `revision`."""
        return self._status("buildinfo")

    def _status(self, name: str) -> Mapping[str, Any]:
        """A part of the API that tells of the server itself; empty if there is no such part, or it is not for us."""
        try:
            found = self.prometheus.status(name)
        except QueryError as error:
            if error.status is None:
                raise
            return {}
        return found if isinstance(found, dict) else {}

    def _opened(self, client: Client) -> Client:
        """A client that is closed with the stack."""
        self._exit.callback(client.close)
        return client

    @property
    def _prometheus(self) -> Connection:
        if self.connections.prometheus is None:
            raise AnswerError("no Prometheus was named")
        return self.connections.prometheus
