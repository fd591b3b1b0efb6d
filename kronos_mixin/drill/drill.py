"""A whole drill: its targets are served, its rules are put where Prometheus reads them, and its faults are played."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kronos_mixin.connect import Client
from kronos_mixin.drill.causes import Causes
from kronos_mixin.drill.environment import Environment
from kronos_mixin.drill.play import Play, cases_of
from kronos_mixin.drill.report import Report, line_of
from kronos_mixin.drill.server import DISCOVERY, Cast, Stage, serving, split_address
from kronos_mixin.drill.watch import Servers, failed_notifications

_DISCOVERY = 30.0
"""Seconds within which a Prometheus that runs the scrape job must have asked for its targets, and scraped one."""

Say = Callable[[str], None]


class UnreachableError(Exception):
    """Prometheus does not reach the targets of the drill; the message says what to do."""


@dataclass(frozen=True)
class Drill:
    """What to play, and where."""

    environment: Environment
    servers: Servers
    user_job: str
    """The job of the installation whose alerts are drilled."""
    labels: Mapping[str, str]
    """Further labels for the targets, as real ones have."""
    hold: float = 0.0
    """Seconds for which each fault goes on after its alerts have arrived."""

    @property
    def seconds(self) -> float:
        """How long it takes, about."""
        return self.environment.seconds + self.hold

    @contextlib.contextmanager
    def on(self, listen: tuple[str, int], advertise: str) -> Iterator[Stage]:
        """Serve the targets at a host and port; `advertise` is how Prometheus reaches them. Raises OSError.

        An advertised address without a port gets the one that is listened at.
        """
        with serving(listen) as stage:
            host, port = split_address(advertise)
            stage.address = f"{host}:{port or stage.port}"
            stage.cast = Cast(self.environment, self.labels)
            yield stage

    def __call__(self, stage: Stage, say: Say) -> Report:
        """Play all faults on a stage whose scrape job and rules Prometheus runs already.

        Raises UnreachableError, and AnswerError.
        """
        cast, began = stage.cast, time.time()
        if cast is None:
            raise ValueError("there is nobody on the stage")
        self._reached(stage, cast)
        say("Prometheus scrapes the drill")
        cases = cases_of(self.environment)
        before = failed_notifications(self.servers.alertmanager)
        Play(cast, self.servers, cases, self.hold, say)()
        causes, after = Causes(self.servers), failed_notifications(self.servers.alertmanager)
        return Report(
            datetime.datetime.fromtimestamp(began, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            time.time() - began,
            _named(self.servers.prometheus, "/api/v1/status/buildinfo", "data"),
            _named(self.servers.alertmanager, "/api/v2/status", "versionInfo"),
            self.environment.job,
            tuple(line_of(case, causes, self.user_job) for case in cases),
            self.environment.undrilled,
            tuple(sorted(self.servers.strangers)),
            {name: new for name, count in after.items() if (new := int(count - before.get(name, 0)))},
        )

    def _reached(self, stage: Stage, cast: Cast) -> None:
        """Wait until Prometheus has scraped the drill. Raises UnreachableError if it does not come to that."""
        deadline = time.monotonic() + _DISCOVERY
        while cast.discovered == 0 or not ((look := self.servers.look()) and look.ready):
            if time.monotonic() > deadline:
                raise UnreachableError(self._blind(stage, cast))
            time.sleep(0.5)

    def _blind(self, stage: Stage, cast: Cast) -> str:
        advice = "Say by which address it reaches this machine: --listen HOST:PORT --advertise HOST:PORT."
        if cast.discovered == 0:
            return (
                f"Prometheus has not asked http://{stage.address}{DISCOVERY} for the targets of the drill. {advice}"
            )
        found = self.servers.prometheus.data("/api/v1/targets?state=active")["data"].get("activeTargets") or []
        errors = [one["lastError"] for one in found if one["scrapePool"] == self.environment.job and one["lastError"]]
        said = f": {errors[0]}" if errors else ", or does not record them"
        return f"Prometheus finds the targets of the drill at {stage.address}, but can't scrape them{said}. {advice}"


def _named(client: Client | None, path: str, key: str) -> str:
    """The address and version of a server, as far as it tells."""
    if client is None:
        return ""
    try:
        found: Any = client.data(path)
        version = found[key]["version"]
    except Exception:
        version = ""
    return f"{str(client.base_url).rstrip('/')} {version}".strip()
