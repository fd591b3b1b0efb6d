"""One drill from the command line: what it merges, where its alerts go, and how it is put in and taken out."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from kronos_mixin import windows
from kronos_mixin.cli.console import USAGE, Reporter, fail
from kronos_mixin.cli.drill_options import Settings, Where
from kronos_mixin.cli.options import Metadata, Source
from kronos_mixin.config import Config, Data
from kronos_mixin.connect import AnswerError, Client, ConnectError, Connection, Connections
from kronos_mixin.drill import environment as environments
from kronos_mixin.drill import install, objects, where
from kronos_mixin.drill.causes import alerting, routing_of
from kronos_mixin.drill.drill import Drill
from kronos_mixin.drill.environment import LABEL, Environment
from kronos_mixin.drill.faults import UNDRILLED
from kronos_mixin.drill.install import Place, Reloader
from kronos_mixin.drill.report import Report
from kronos_mixin.drill.server import DISCOVERY, Stage
from kronos_mixin.drill.watch import Servers, resolve
from kronos_mixin.files import UndoError
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.merge.plan import describe
from kronos_mixin.merge.prometheusyml import MergeError
from kronos_mixin.merge.reload import ReloadError
from kronos_mixin.merge.validate import validate

_FINDING = 15.0
"""Seconds within which a Prometheus finds an Alertmanager that its configuration names."""


class Clients:
    """Clients of the servers; Alertmanager is the one that Prometheus sends to, if none was named."""

    def __init__(self, connections: Connections, open_: contextlib.ExitStack) -> None:
        """Raises ConnectError, and AnswerError if one of them does not answer."""
        prometheus = connections.prometheus
        if prometheus is None:
            raise ConnectError("no Prometheus was named")
        self.prometheus = open_.enter_context(prometheus.client())
        self.ruler = open_.enter_context(connections.rulers[0].client()) if connections.rulers else self.prometheus
        known = connections.alertmanager or self._told()
        self.alertmanager: Client | None = open_.enter_context(known.client()) if known else None
        if self.alertmanager is not None:
            self.alertmanager.data("/api/v2/status")

    def forget_drills(self) -> None:
        """Resolve the alerts of drills in Alertmanager, which forgets them by itself, if slowly."""
        with install.undisturbed(), contextlib.suppress(AnswerError):
            if self.alertmanager is not None:
                resolve(self.alertmanager)

    @contextlib.contextmanager
    def tidy(self) -> Iterator[None]:
        """Begin and end without any alert of a drill in Alertmanager."""
        self.forget_drills()
        try:
            yield
        finally:
            self.forget_drills()

    def _told(self) -> Connection | None:
        """The Alertmanager that Prometheus sends to. One that has just started takes seconds to find it."""
        deadline = time.monotonic() + _FINDING
        while True:
            found = self.ruler.data("/api/v1/alertmanagers")["data"].get("activeAlertmanagers") or []
            if found:
                return Connection.to(found[0]["url"].removesuffix("/api/v2/alerts"))
            if time.monotonic() > deadline or not alerting(self.ruler).configured:
                return None
            time.sleep(0.5)


@dataclasses.dataclass(frozen=True)
class Compiler:
    """Compiles the mixin as the user has configured it."""

    source: Source
    above: list[Config]
    console: Reporter

    def under(self, knobs: Mapping[str, Any]) -> Mixin:
        """With these knobs on top. Exits on an error."""
        return self.source.evaluate(self.console, above=[*self.above, Data({"kronos": knobs}, {})])


class Session:
    """One drill: what it merges, and where its alerts go."""

    def __init__(self, clients: Clients, user: Mixin, settings: Settings, compiler: Compiler) -> None:
        """Exits on what can't, or must not, be drilled."""
        self.clients, self.user, self.settings, self.compiler = clients, user, settings, compiler
        self.console = compiler.console
        self.labels = where.common_labels(clients.prometheus, user, ("__name__", "job", "instance", LABEL))
        self.environment = self._environment()
        servers = Servers(self.environment, clients.prometheus, clients.ruler, clients.alertmanager)
        self.drill = Drill(self.environment, servers, user.config["job"], self.labels, settings.hold)
        self._refuse_mixing()

    def _environment(self) -> Environment:
        alerts, known = self.settings.alerts, self.user.config["alerts"]
        for name in alerts:
            if name not in known or not known[name]["enabled"] or name in UNDRILLED:
                can = sorted(one for one in known if known[one]["enabled"] and one not in UNDRILLED)
                fail(f"--alert {name}: is none that can be drilled: there are {', '.join(can)}", USAGE)
        shortened = self.compiler.under(
            environments.overrides(self.user.config, self.settings.interval, self.settings.job, alerts)
        )
        # By the clock of the server, which ends them.
        now = float(self.clients.prometheus.data("/api/v1/query", params={"query": "time()"})["data"]["result"][1])
        return environments.environment(self.user, shortened, now + self._longest())

    def _longest(self) -> float:
        return 600 + 3 * (60 + 60 * self.settings.interval) + self.settings.hold

    def _refuse_mixing(self) -> None:
        """Exit if the rules of the installation would read the drill's series, and page as if they were real."""
        selector = self.user.config["selector"]
        for fault in self.environment.faults:
            labels = {**self.labels, LABEL: "true", "job": self.environment.job_of(fault)}
            if where.selects(selector, labels):
                fail(
                    f"the rules of the installation select {selector}, and so the targets of the drill, too "
                    f"({labels['job']}): their alerts would not say that they are a drill. Choose another --job"
                )

    def foretell(self, prometheus_yml: Path | None, place: Where, prometheus: Connection) -> None:
        """Print what a drill would do, and end."""
        diff = []
        if prometheus_yml is not None:
            there = place_of(prometheus_yml, place, prometheus)
            plan = there.plan(self.environment, self._job("HOST:PORT"))
            diff = describe(plan, whole=self.console.verbose)
        announced = self._announcement()
        self.console.diff(diff)
        for line in announced:
            self.console.result(line)
        self.console.end({"announced": announced, "diff": diff})

    def _job(self, address: str) -> dict[str, Any]:
        return environments.scrape_job(self.environment, f"http://{address}{DISCOVERY}")

    def _announcement(self) -> list[str]:
        faults = self.environment.faults
        count = sum(len(fault.alerts) for fault in faults)
        counted = [(count, "alert"), (len(faults), "fault"), (self.environment.instances, "made-up target")]
        alerts, through, targets = (f"{number} {what}{'s' * (number != 1)}" for number, what in counted)
        takes = windows.duration(self.drill.seconds)
        pace = f"scraped every {self.environment.interval} s"
        lines = [f"{alerts} through {through} of {targets}, {pace}: about {takes}."]
        routing = routing_of(self.clients.alertmanager)
        if routing is None:
            lines.append("Prometheus sends its alerts to no Alertmanager: none will arrive.")
        else:
            sent = {"job": self.environment.job, LABEL: "true", **self.labels}
            found = where.destinations(self.environment.mixin, [sent], alerting(self.clients.ruler), routing)
            told_of = Counter(name for one in found for name in one.receivers)
            lines.append("Receivers: " + ", ".join(f"{name} of {number}" for name, number in told_of.items()) + ".")
        lines += [f"{name} is left out: {why}." for name, why in self.environment.undrilled.items()]
        return lines

    def play(
        self, prometheus_yml: Path | None, place: Where, metadata: Metadata, prometheus: Connection, *, yes: bool
    ) -> Report:
        """Drill, and return the report."""
        if (prometheus_yml is None) == (place.objects is None):
            fail("name either your prometheus.yml or a folder for --objects", USAGE)
        there = None if prometheus_yml is None else place_of(prometheus_yml, place, prometheus)
        if there is not None:
            clean(there, self.console, say_nothing=True)
        for line in self._announcement():
            self._say(line)
        if not yes:
            self.console.confirm("Go on?")
        begin = time.monotonic()

        def say(words: str) -> None:
            self._say(f"{time.monotonic() - begin:4.0f} s  {words}")

        with self.drill.on(self.settings.listen, self.settings.advertise) as stage:
            if there is None:
                folder = place.objects or Path()
                files = objects.texts(self.environment, self._job(stage.address), metadata.labels, metadata.namespace)
                applied = objects.applied(folder, files, self.environment, self.clients.ruler, say)
                with self.clients.tidy(), applied:
                    report = self.drill(stage, say)
                return dataclasses.replace(report, removed="Its objects have been taken away.")
            return self._installed(there, stage, say)

    def _installed(self, place: Place, stage: Stage, say: Callable[[str], None]) -> Report:
        plan = place.plan(self.environment, self._job(stage.address))
        for note in validate(plan):
            self.console.note(note)
        report = None
        try:
            with self.clients.tidy(), install.installed(place, plan):
                say(f"{place.config} holds the drill, and Prometheus has read it")
                report = self.drill(stage, say)
        except (MergeError, ReloadError, UndoError, OSError) as error:
            if report is None:
                raise
            return dataclasses.replace(report, clean=False, removed=f"The drill could not be taken out: {error}")
        config = place.config.absolute()
        return dataclasses.replace(
            report, removed=f"{config} is as it was, and Prometheus runs nothing of the drill."
        )

    def _say(self, words: str) -> None:
        if not self.console.quiet:
            typer.echo(words, err=True)


def place_of(prometheus_yml: Path | None, place: Where, prometheus: Connection) -> Place:
    """Where a drill is put. Exits if no configuration was named; raises MergeError."""
    if prometheus_yml is None:
        fail("name your prometheus.yml", USAGE)
    return Place.of(prometheus_yml, Reloader(prometheus, place.reload_command), place.rules_dir)


def clean(place: Place, console: Reporter, *, say_nothing: bool = False) -> None:
    """Take out what a killed drill has left. Raises what `install.take_out` raises."""
    traces = install.left_over(place)
    if traces is None:
        if not say_nothing:
            console.done(f"{place.config}: nothing of a drill is left")
        return
    with install.undisturbed():
        install.take_out(place, traces)
    began = f" of {traces.began}" if traces.began else ""
    console.note(f"A drill{began} had not ended: it has been taken out of {place.config}.")
