"""`kronos-mixin verify`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli.connections import AllServers
from kronos_mixin.cli.console import FAILED, UNREACHABLE, USAGE, Reporter, fail, paint
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import Source
from kronos_mixin.config import Config
from kronos_mixin.connect import Connections
from kronos_mixin.contract import ContractError, load_contract
from kronos_mixin.jsonnet import is_ours
from kronos_mixin.merge import request
from kronos_mixin.merge.plan import read as read_prometheus_yml
from kronos_mixin.merge.prometheusyml import MergeError
from kronos_mixin.verify.check import Check, Finding, Outcome, Severity, State, outcomes
from kronos_mixin.verify.checks import CHECKS
from kronos_mixin.verify.stack import Stack

_LOOKS = {
    State.ok: ("ok", typer.colors.GREEN),
    State.early: ("early", typer.colors.YELLOW),
    State.warning: ("warning", typer.colors.YELLOW),
    State.error: ("WRONG", typer.colors.RED),
    State.skipped: ("-", None),
    State.unasked: ("?", typer.colors.YELLOW),
}


@grouped
def verify(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Make just this check. May be repeated.", metavar="CHECK"),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", help="Don't make this check. May be repeated.", metavar="CHECK"),
    ] = None,
    merged: Annotated[
        Path | None,
        typer.Option(
            "--merged",
            help="A prometheus.yml that holds the mixin: expect what merge put there, by the options it remembers.",
            metavar="PROMETHEUS_YML",
        ),
    ] = None,
    *,
    servers: AllServers,
    source: Source,
    console: Reporter,
) -> None:
    """Check that a running stack really watches Kronos.

    Asks your Prometheus, rulers, Alertmanager and Grafana, and the service itself, and compares what they say with
    what the mixin compiles to under your --config. It only reads, and takes seconds.

    One line per check: ok, WRONG, warning, early (too early to tell), ? (could not be asked) or - (does not apply).
    Below it, what is wrong, why it matters, and what mends it. The guide has a table of all checks.

    \b
    Examples
      kronos-mixin verify --prometheus http://localhost:9090
      kronos-mixin verify --prometheus http://localhost:9090 --config mine.yml
      kronos-mixin verify --merged /etc/prometheus/prometheus.yml \\
        --prometheus http://localhost:9090 --alertmanager http://localhost:9093
    VictoriaMetrics, whose rules vmalert evaluates:
      kronos-mixin verify --prometheus http://vm:8428 --ruler http://vmalert:8880
    Mimir:
      kronos-mixin verify --prometheus https://mimir/prometheus \\
        --header 'X-Scope-OrgID: team' --token-file token
    In CI or cron, with all servers and credentials in a file:
      kronos-mixin verify --connections stack.yml --format json

    Exit code 0: all is well, warnings included; 1: something is wrong; 2: bad command line; 3: nothing is wrong, but
    something could not be asked, or it is too early to tell.
    """
    chosen = _chosen(only or (), skip or ())
    connections = servers.read()
    if connections.prometheus is None:
        fail("name your Prometheus: --prometheus URL, PROMETHEUS_URL, or prometheus in --connections FILE", USAGE)
    ended = []
    with _stack(connections, source, merged, console) as stack:
        running = outcomes(CHECKS, stack, {check.name for check in chosen})
        for check in chosen:
            with console.progress(f"{check.name}: {check.looks_at}"):
                ended.append(outcome := next(running))
            if not (console.quiet and outcome.state in {State.ok, State.skipped}):
                for line in _lines(outcome):
                    console.result(line)
    console.done(_summary(ended))
    console.end({"checks": _data(ended)}, _code({outcome.state for outcome in ended}))


def _code(states: Set[State]) -> int:
    if State.error in states:
        return FAILED
    return UNREACHABLE if states & {State.unasked, State.early} else 0


def _chosen(only: Sequence[str], skip: Sequence[str]) -> list[Check]:
    names = [check.name for check in CHECKS]
    for name in [*only, *skip]:
        if name not in names:
            fail(f"there is no check {name}: there are {', '.join(names)}", USAGE)
    return [check for check in CHECKS if check.name in (only or names) and check.name not in skip]


def _stack(connections: Connections, source: Source, merged: Path | None, console: Reporter) -> Stack:
    """What is asked, and what it should hold. Exits on an error."""
    if not is_ours(source.path):
        fail("verify knows the Kronos mixin only", USAGE)
    above: list[Config] = []
    try:
        if merged is not None:
            wanted = request.earlier(merged, read_prometheus_yml(merged), source.name or "kronos")
            source = source.after(wanted)
            above = request.layers(wanted)
        mixin = source.evaluate(console, above=above)
        return Stack(connections, mixin, load_contract(source.path / "metrics.json"))
    except MergeError as error:
        fail(f"{merged}: {error}")
    except ContractError as error:
        fail(str(error))


def _lines(outcome: Outcome) -> list[str]:
    word, colour = _LOOKS[outcome.state]
    terminal, width = sys.stdout.isatty(), max(len(check.name) for check in CHECKS)
    about = outcome.reason or outcome.check.looks_at
    lines = [f"{paint(f'{word:<7}', colour, terminal)} {outcome.check.name:<{width}}  {about}"]
    for finding in outcome.findings:
        lines += _finding(outcome, finding)
    return lines


def _finding(outcome: Outcome, finding: Finding) -> list[str]:
    mark = {Severity.early: "early: ", Severity.warning: "warning: "}.get(finding.severity, "")
    lines = [f"  - {mark}{finding.wrong}"]
    if finding.severity is Severity.note:
        return lines
    if finding.severity is not Severity.early:
        lines.append(f"    why:  {finding.why or outcome.check.why}")
    return [*lines, f"    mend: {finding.mend}"]


def _data(ended: Sequence[Outcome]) -> list[dict[str, object]]:
    return [
        {
            "name": outcome.check.name,
            "state": outcome.state,
            "looks_at": outcome.check.looks_at,
            "reason": outcome.reason,
            "findings": [
                {**dataclasses.asdict(finding), "why": finding.why or outcome.check.why}
                for finding in outcome.findings
            ],
        }
        for outcome in ended
    ]


def _summary(ended: Sequence[Outcome]) -> str:
    counted = {state: sum(outcome.state is state for outcome in ended) for state in State}
    words = {
        State.error: "wrong",
        State.warning: "with warnings",
        State.early: "too early to tell",
        State.unasked: "not asked",
        State.skipped: "not applicable",
        State.ok: "ok",
    }
    return f"{len(ended)} checks: " + ", ".join(
        f"{counted[state]} {word}" for state, word in words.items() if counted[state]
    )
