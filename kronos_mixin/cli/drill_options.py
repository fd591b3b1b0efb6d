"""Options of `kronos-mixin drill`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.drill.environment import NAME


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
