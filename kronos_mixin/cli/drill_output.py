"""What a drill prints and writes: its report, and where the alerts of an installation would go."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from kronos_mixin.cli.console import FAILED, UNREACHABLE, Reporter, fail
from kronos_mixin.cli.drill_session import Clients
from kronos_mixin.drill import where
from kronos_mixin.drill.causes import alerting, routing_of
from kronos_mixin.drill.page import page
from kronos_mixin.drill.report import Line, Report, remark, told
from kronos_mixin.jsonnet import Mixin


def destinations(user: Mixin, clients: Clients, console: Reporter) -> None:
    """Print where every alert of the installation would go. Exits if one would tell nobody."""
    routing = routing_of(clients.alertmanager)
    if clients.alertmanager is None or routing is None:
        fail(
            "there is no Alertmanager to ask: Prometheus sends to none, and no --alertmanager was named", UNREACHABLE
        )
    found = list(
        where.destinations(
            user,
            where.installations(clients.prometheus, user),
            alerting(clients.ruler),
            routing,
            where.active_silences(clients.alertmanager),
        )
    )
    for one in found:
        labels = ", ".join(f"{name}={value}" for name, value in one.labels.items() if name != "alertname")
        about = "; ".join(filter(None, [one.wrong, one.note]))
        console.result(
            f"{'WRONG' if one.wrong else 'ok':<6} {one.alert} ({labels}): {', '.join(one.receivers) or 'nobody'}"
            + (f": {about}" if about else "")
        )
    told = [dataclasses.asdict(one) for one in found]
    console.end({"destinations": told}, FAILED if any(one.wrong for one in found) else 0)


def write(report: Report, output: Path) -> None:
    """Write the report into a folder. Raises OSError."""
    output.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("drill.json", json.dumps(report.data(), indent=2) + "\n"),
        ("drill.md", report.markdown()),
        ("drill.html", page(report)),
    ):
        (output / name).write_text(text, encoding="utf-8")


def show(report: Report, output: Path, console: Reporter) -> None:
    """Print the report, and end."""
    for line in report.lines:
        if line.lost or not console.quiet:
            console.result(_line(line))
    console.done(f"{report.summary}. {report.removed}")
    console.done(f"The report is in {output / 'drill.html'}, drill.md and drill.json.")
    console.end(dataclasses.asdict(report), 0 if report.ok else FAILED)


def _line(line: Line) -> str:
    times = f"fires {told(line.after, 'firing')}, resolved {told(line.then, 'resolved')}"
    said = remark(line)
    about = f": {said}" if said != "ok" else ""
    cause = f": {line.cause}" if line.cause else ""
    return (
        f"{'LOST' if line.lost else 'ok':<5} {line.name} ({times}) {', '.join(line.receivers) or '-'}{about}{cause}"
    )
