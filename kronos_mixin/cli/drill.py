"""`kronos-mixin drill`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli.connections import AlertServers
from kronos_mixin.cli.console import UNREACHABLE, USAGE, Reporter, fail
from kronos_mixin.cli.drill_options import Manner, Rather, Where
from kronos_mixin.cli.drill_output import destinations, show, write
from kronos_mixin.cli.drill_session import Clients, Compiler, Session, clean, place_of
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import Metadata, Source
from kronos_mixin.config import Config
from kronos_mixin.connect import AnswerError, ConnectError
from kronos_mixin.drill.drill import UnreachableError
from kronos_mixin.drill.objects import WaitedError
from kronos_mixin.files import UndoError
from kronos_mixin.jsonnet import CompileError, is_ours
from kronos_mixin.merge import request
from kronos_mixin.merge.plan import read
from kronos_mixin.merge.prometheusyml import MergeError
from kronos_mixin.merge.reload import ReloadError

INTERRUPTED = 130


@grouped
def drill(
    prometheus_yml: Annotated[
        Path | None,
        typer.Argument(
            help="Configuration file of your Prometheus, to which the drill is added while it lasts.",
            metavar="PROMETHEUS_YML",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report: drill.html, .md, .json.", metavar="DIR")
    ] = Path("kronos-drill"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
    *,
    rather: Rather,
    manner: Manner,
    place: Where,
    metadata: Metadata,
    servers: AlertServers,
    source: Source,
    console: Reporter,
) -> None:
    """Fire every alert in your stack, and see it arrive and resolve.

    Adds a second environment to prometheus.yml, with jobs of its own and the label drill="true" on every alert and
    series, whose windows are seconds instead of minutes. Its targets are instances that this command makes up, and
    whose faults set off one alert after the other, side by side. Each is watched: pending, firing, in Alertmanager
    for its receivers, resolved. Then all of it is taken out again, byte for byte, also on Ctrl-C. After a kill, the
    next drill or --clean does that; until then its alerts end by themselves after some minutes.

    The alerts are real: their receivers hear of them. A route for drill="true" keeps them away from people; the
    report then says where the real ones go. The configuration of the installation is that of its merge, or --config.

    \b
    Examples
    See what would happen:
      kronos-mixin drill prometheus.yml --dry-run \\
        --prometheus http://localhost:9090
    All alerts:
      kronos-mixin drill prometheus.yml --prometheus http://localhost:9090
    One, in a Prometheus in a container, which is reloaded by a signal:
      kronos-mixin drill prometheus.yml --prometheus http://localhost:9090 \\
        --listen 0.0.0.0:9999 --advertise host.docker.internal \\
        --reload-command 'docker kill -s HUP prometheus' --alert KronosServiceDown
    With the Prometheus Operator, or a ruler elsewhere:
      kronos-mixin drill --objects drill --advertise 10.0.0.7 \\
        --namespace monitoring --label release=prom \\
        --prometheus https://prometheus.example.com
    Fire nothing, only ask who would hear:
      kronos-mixin drill --receiver-only-check --prometheus http://localhost:9090
    After a kill:
      kronos-mixin drill prometheus.yml --prometheus http://localhost:9090 --clean

    Exit code 0: every alert was seen all the way, or nothing to do; 1: one was lost, as the report says, or the drill
    was refused; 2: bad command line; 3: a server can't be reached, or can't reach the drill; 130: interrupted.
    """
    connections = servers.read()
    if connections.prometheus is None:
        fail("name your Prometheus: --prometheus URL, PROMETHEUS_URL, or prometheus in --connections FILE", USAGE)
    settings = manner.read(connections.prometheus.url)
    try:
        with _explained(prometheus_yml):
            if rather.clean:
                clean(place_of(prometheus_yml, place, connections.prometheus), console)
                with (
                    contextlib.ExitStack() as open_,
                    contextlib.suppress(AnswerError),
                    Clients(connections, open_).tidy(),
                ):
                    pass
                console.end({})
                return
            source, above = _remembered(prometheus_yml, source)
            user = source.evaluate(console, above=above)
            with contextlib.ExitStack() as open_:
                clients = Clients(connections, open_)
                if rather.receiver_only_check:
                    destinations(user, clients, console)
                    return
                session = Session(clients, user, settings, Compiler(source, above, console))
                if rather.dry_run:
                    session.foretell(prometheus_yml, place, connections.prometheus)
                    return
                report = session.play(prometheus_yml, place, metadata, connections.prometheus, yes=yes)
    except KeyboardInterrupt:
        fail("interrupted: the drill is over, and has been taken out again", INTERRUPTED)
    write(report, output)
    show(report, output, console)


def _remembered(prometheus_yml: Path | None, source: Source) -> tuple[Source, list[Config]]:
    """The mixin as it was merged: with the configuration that the marks remember, and overrides above it."""
    if not is_ours(source.path):
        fail("drill knows the Kronos mixin only", USAGE)
    if prometheus_yml is None:
        return source, []
    wanted = request.earlier(prometheus_yml, read(prometheus_yml), source.name or "kronos")
    return source.after(wanted), request.layers(wanted)


@contextlib.contextmanager
def _explained(prometheus_yml: Path | None) -> Iterator[None]:
    """Exit with a message for what can go wrong."""
    try:
        yield
    except (AnswerError, UnreachableError) as error:
        fail(str(error), UNREACHABLE)
    except MergeError as error:
        fail(f"{prometheus_yml}: {error}")
    except (CompileError, ReloadError, WaitedError, ConnectError) as error:
        fail(str(error))
    except UndoError as error:
        fail(f"{error.__cause__ or prometheus_yml}\nThis could not be put back:\n{error}")
    except OSError as error:
        fail(f"{error.filename or prometheus_yml}: {error.strerror or error}")
