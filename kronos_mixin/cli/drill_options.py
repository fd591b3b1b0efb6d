"""Options of `kronos-mixin drill`."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin import windows
from kronos_mixin.cli.console import USAGE, fail
from kronos_mixin.drill.environment import NAME
from kronos_mixin.drill.server import own_host, split_address
from kronos_mixin.schema import is_address


@dataclasses.dataclass(frozen=True)
class Manner:
    """Options on how the drill goes."""

    alert: Annotated[
        list[str] | None,
        typer.Option("--alert", help="Drill just this alert. May be repeated.", metavar="ALERT"),
    ] = None
    interval: Annotated[
        str,
        typer.Option(
            "--interval",
            help="Time between scrapes, and between evaluations, of the drill. All windows follow it.",
            metavar="DURATION",
        ),
    ] = "2s"
    hold: Annotated[
        str,
        typer.Option(
            "--hold",
            help="How long alerts go on firing after they have arrived: longer than group_wait, and people are told.",
            metavar="DURATION",
        ),
    ] = "0s"
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            help="Where the made-up instances listen. Default: the address of this machine on the way to "
            "Prometheus, any port.",
            metavar="HOST:PORT",
        ),
    ] = None
    advertise: Annotated[
        str | None,
        typer.Option("--advertise", help="How Prometheus reaches them. Default: as --listen.", metavar="HOST[:PORT]"),
    ] = None
    job: Annotated[
        str,
        typer.Option("--job", help="Scrape job of the drill, and how the jobs of its faults begin.", metavar="NAME"),
    ] = NAME

    def read(self, prometheus: str) -> Settings:
        """What they say, for the Prometheus at this address. Exits if one is wrong."""
        hold = windows.seconds(self.hold)
        if not hold and self.hold != "0s":
            fail(f"--hold {self.hold}: must be a duration, such as 1m", USAGE)
        if not re.fullmatch(r"[a-zA-Z0-9_-]+", self.job):
            fail(f"--job {self.job}: letters, digits, - and _ only", USAGE)
        listen, advertise = _addresses(self, prometheus)
        interval = _interval(self.interval)
        return Settings(tuple(self.alert or ()), interval, hold, listen, advertise, self.job)


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the drill goes. `interval` and `hold` are in seconds."""

    alerts: tuple[str, ...]
    interval: int
    hold: float
    listen: tuple[str, int]
    advertise: str
    job: str


@dataclasses.dataclass(frozen=True)
class Where:
    """Options on where the drill is put."""

    rules_dir: Annotated[
        Path | None,
        typer.Option(
            "--rules-dir",
            help="Folder for its rule files. Default: where those of the installation are.",
            metavar="DIR",
        ),
    ] = None
    reload_command: Annotated[
        str | None,
        typer.Option(
            "--reload-command",
            help="Reload Prometheus by this command, such as 'systemctl reload prometheus'. Default: by its "
            "/-/reload, which it has with --web.enable-lifecycle.",
            metavar="COMMAND",
        ),
    ] = None
    objects: Annotated[
        Path | None,
        typer.Option(
            "--objects",
            help="Instead of changing a prometheus.yml, write rules and scrape job as files into this new folder, "
            "also for the Prometheus Operator, and wait until somebody has loaded them.",
            metavar="DIR",
        ),
    ] = None


@dataclasses.dataclass(frozen=True)
class Rather:
    """What to do rather than a drill."""

    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only show what would be merged, how long it takes, who is told.")
    ] = False
    receiver_only_check: Annotated[
        bool,
        typer.Option(
            "--receiver-only-check", help="Only ask where every alert of the installation would go. Fires nothing."
        ),
    ] = False
    clean: Annotated[
        bool, typer.Option("--clean", help="Only take out what a drill that was killed has left behind.")
    ] = False


def _interval(text: str) -> int:
    seconds = windows.seconds(text)
    if seconds < 1 or seconds != int(seconds) or seconds > 60:
        fail(f"--interval {text}: must be whole seconds, from 1s to 1m", USAGE)
    return int(seconds)


def _addresses(manner: Manner, prometheus: str) -> tuple[tuple[str, int], str]:
    """Where to listen, and how Prometheus reaches that."""
    given, own = manner.advertise, _bracketed(own_host(prometheus))
    _, port = split_address(given) if given else (own, None)
    listen = _address(manner.listen or f"{'0.0.0.0' if given else own}:{port or 0}")  # noqa: S104
    return listen, given or (own if listen[0] in {"0.0.0.0", "::"} else _bracketed(listen[0]))  # noqa: S104


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (is_address(text) or (port == "0" and is_address(f"{host}:1"))):
        fail(f"--listen {text}: must be HOST:PORT, such as 0.0.0.0:9999", USAGE)
    return host.strip("[]"), int(port)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
