"""`kronos-mixin diff` and `kronos-mixin push`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import typer

from kronos_mixin.changes import Verb
from kronos_mixin.cli.connections import PushServers
from kronos_mixin.cli.console import FAILED, UNREACHABLE, USAGE, Reporter, fail
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import Source
from kronos_mixin.connect import AnswerError, ConnectError
from kronos_mixin.push import dashboards, rules
from kronos_mixin.push.editor import Editor
from kronos_mixin.push.make import DONE, made
from kronos_mixin.push.ruler import Ruler
from kronos_mixin.push.step import PushError, Step

_LINES = 20
"""Lines of each diff without --verbose."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where things go."""

    folder: Annotated[
        str | None,
        typer.Option(
            "--folder",
            help="Title of Grafana's folder for the dashboards. Default: the mixin's, else where they are.",
            metavar="TITLE",
        ),
    ] = None
    rule_namespace: Annotated[
        str | None,
        typer.Option(
            "--rule-namespace",
            help="The ruler's namespace for the groups. Default: the mixin's name.",
            metavar="NAME",
        ),
    ] = None


@dataclasses.dataclass(frozen=True)
class _Server:
    """One server, and how to find out what is to be done there."""

    name: str
    steps: Callable[[], list[Step]]


@grouped
def diff(
    *,
    place: Place,
    servers: PushServers,
    source: Source,
    console: Reporter,
) -> None:
    """Show how a Grafana and a ruler differ from a mixin.

    Compares dashboards and rule groups with what `push` would write, and says what has been edited there by hand.
    It only reads. With --verbose, differences are complete.

    \b
    Examples
      kronos-mixin diff --grafana http://localhost:3000 \\
        --grafana-token-file token
      kronos-mixin diff --ruler https://mimir.example.com \\
        --header 'X-Scope-OrgID: team' --config mine.yml --format json

    Exit code 0: no difference; 1: differences, or an error in the mixin; 2: bad command line; 3: a server can't be
    reached or refuses.
    """
    with _servers(place, servers, source, console) as found:
        planned = [(server, _planned(server, console)) for server in found]
    for server, steps in planned:
        _show(server, steps, console, with_diff=True)
    differ = any(step.verb is not Verb.same for _, steps in planned for step in steps)
    data = [_data(server, step) for server, steps in planned for step in steps]
    console.end({"steps": data}, FAILED if differ else 0)


@grouped
def push(
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it. Without this, only show what would be done.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Overwrite and remove also what is edited, and take over what has no mark."),
    ] = False,
    *,
    place: Place,
    servers: PushServers,
    source: Source,
    console: Reporter,
) -> None:
    """Push dashboards to a Grafana, and rules to a ruler.

    Through their APIs, for those who don't provision by files. Only shows what it would do, until you say --apply. A
    second push finds nothing to do.

    What a push has written is marked with the mixin's name: dashboards by a tag, rule groups by a comment. What the
    mixin no longer has is removed if it has that mark. What was edited by hand, or has no mark, is named and left
    alone, unless you say --force.

    Grafana 10 and newer, by an Editor's token. Rulers with the API of Mimir or Cortex, such as Grafana Cloud. Not
    Prometheus, Thanos Ruler or vmalert, which read files; not Loki, which has rules of its own.

    \b
    Examples
      kronos-mixin push --grafana http://localhost:3000 \\
        --grafana-token-file token
      kronos-mixin push --connections stack.yml --config mine.yml --apply \\
        --format json
    Any mixin, its rules only:
      kronos-mixin push --mixin vendor/node-mixin --apply \\
        --ruler https://mimir.example.com --header 'X-Scope-OrgID: team'

    Exit code 0: done, or shown; 1: something was left alone or failed, or an error in the mixin; 2: bad command line;
    3: a server can't be reached or refuses: nothing was changed.
    """
    with _servers(place, servers, source, console, force=force) as found:
        planned = [(server, _planned(server, console)) for server in found]
        outcomes: list[str] = []
        data = []
        for server, steps in planned:
            if not apply:
                _show(server, steps, console)
                data += [_data(server, step) for step in steps]
                continue
            console.done(server.name)
            for step, outcome in made(steps, server.steps):
                outcomes += [outcome] if outcome else []
                data.append({**_data(server, step), "outcome": outcome})
                if outcome or step.verb is Verb.keep:
                    _line(step, outcome, console)
    every = [step for _, steps in planned for step in steps]
    console.done(_summary(every, outcomes if apply else None))
    left = set(outcomes) - {DONE} or any(step.verb is Verb.keep for step in every)
    console.end({"steps": data}, FAILED if left else 0)


@contextlib.contextmanager
def _servers(
    place: Place, servers: PushServers, source: Source, console: Reporter, *, force: bool = False
) -> Iterator[list[_Server]]:
    """The servers that were named. Exits on an error."""
    known = servers.read()
    if known.grafana is None and not known.rulers:
        fail("name a Grafana or a ruler: --grafana URL, --ruler URL, or both in --connections FILE", USAGE)
    mixin = source.evaluate(console)
    found: list[_Server] = []
    with contextlib.ExitStack() as opened:
        try:
            if known.grafana is not None:
                grafana = opened.enter_context(contextlib.closing(Editor(known.grafana)))
                found.append(
                    _Server(
                        f"Grafana at {known.grafana.url}",
                        lambda: dashboards.steps(grafana, mixin, place.folder, force=force),
                    )
                )
            for connection in known.rulers:
                ruler = opened.enter_context(contextlib.closing(Ruler(connection)))
                namespace = place.rule_namespace or mixin.name
                found.append(
                    _Server(
                        f"namespace {namespace} of the ruler at {connection.url}",
                        lambda ruler=ruler, namespace=namespace: rules.steps(  # type: ignore[misc]
                            ruler, mixin, namespace, force=force
                        ),
                    )
                )
        except ConnectError as error:
            fail(str(error), USAGE)
        yield found


def _planned(server: _Server, console: Reporter) -> list[Step]:
    """What is to be done on a server. Exits on an error: nothing has been done anywhere yet."""
    try:
        with console.progress(f"asking {server.name}"):
            return server.steps()
    except AnswerError as error:
        fail(f"{server.name}: {error}; nothing was changed", UNREACHABLE)
    except PushError as error:
        fail(str(error))


def _show(server: _Server, steps: Sequence[Step], console: Reporter, *, with_diff: bool = False) -> None:
    console.done(server.name)
    for step in steps:
        if step.verb is Verb.same:
            continue
        _line(step, "", console)
        lines = step.diff() if with_diff else []
        console.diff(lines if console.verbose else lines[:_LINES])
        if len(lines) > _LINES and not console.verbose:
            console.done(f"... {len(lines) - _LINES} more lines with --verbose")
    same = sum(step.verb is Verb.same for step in steps)
    console.done(f"  {same} of {len(steps)} are the same")


def _line(step: Step, outcome: str, console: Reporter) -> None:
    rest = "; ".join(filter(None, [step.reason, outcome if outcome != DONE else ""]))
    console.result(f"  {step.verb:<6}  {step.what}{': ' if rest else ''}{rest}")


def _data(server: _Server, step: Step) -> dict[str, object]:
    return {
        "server": server.name,
        "verb": step.verb,
        "what": step.what,
        "key": step.key,
        "reason": step.reason,
        "diff": step.diff() if step.verb is not Verb.same else [],
    }


def _summary(steps: Sequence[Step], outcomes: Sequence[str] | None) -> str:
    """One line on all steps, with their outcomes if they were done."""
    verbs = [step.verb for step in steps]
    left = f", {verbs.count(Verb.keep)} left alone" if Verb.keep in verbs else ""
    if not any(step.make for step in steps):
        return f"nothing to do{left}"
    if outcomes is not None:
        done = outcomes.count(DONE)
        return f"{done} done, {len(outcomes) - done} not{left}"
    wanted = ", ".join(f"{verbs.count(verb)} to {verb}" for verb in (Verb.add, Verb.change, Verb.remove))
    return f"{wanted}{left}: nothing was changed; say --apply to do it"
