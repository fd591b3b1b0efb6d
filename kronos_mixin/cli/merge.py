"""`kronos-mixin merge` and `kronos-mixin unmerge`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli import completion
from kronos_mixin.cli.console import USAGE, Reporter, fail
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import MixinOption, Source, path_of
from kronos_mixin.commands import command, each
from kronos_mixin.files import UndoError
from kronos_mixin.jsonnet import CompileError, entry, is_ours, name_of
from kronos_mixin.merge import loaded, request
from kronos_mixin.merge.apply import apply
from kronos_mixin.merge.blocks import block_of
from kronos_mixin.merge.plan import Plan, describe, plan_merge, plan_unmerge, read, without_dots
from kronos_mixin.merge.prometheusyml import MergeError
from kronos_mixin.merge.reload import Reload, ReloadError
from kronos_mixin.merge.validate import validate
from kronos_mixin.schema import ADDRESS, is_address

ConfigArgument = Annotated[
    Path,
    typer.Argument(
        help="Configuration file of your Prometheus, by the path it is started with.", metavar="PROMETHEUS_YML"
    ),
]


@dataclasses.dataclass(frozen=True)
class Change:
    """Options on how a change is made."""

    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would change.")] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False
    reload: Annotated[
        list[str] | None,
        typer.Option(
            "--reload",
            help="Reload the Prometheus at this address, even if nothing changes, and check that it runs what was "
            "written. If it refuses a change, undo it. May be repeated.",
            metavar="URL",
        ),
    ] = None

    @property
    def servers(self) -> list[Reload]:
        """Each Prometheus of --reload, once. Exits on a bad address."""
        try:
            return list({str(server): server for server in map(Reload, self.reload or ())}.values())
        except ValueError as error:
            fail(f"--reload {error}", USAGE)


def _addresses(values: list[str] | None) -> list[str] | None:
    for value in values or ():
        if not is_address(value):
            raise typer.BadParameter(f"{value!r} is not {ADDRESS}")
    return values


@grouped
def merge(
    prometheus_yml: ConfigArgument,
    rules_dir: Annotated[
        Path | None,
        typer.Option(
            "--rules-dir",
            help="Folder for the rule files. Default: as before, or kronos-mixin/ beside PROMETHEUS_YML.",
            metavar="DIR",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="Address to scrape. May be repeated. Default: as before.",
            metavar="HOST:PORT",
            callback=_addresses,
        ),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            "--job",
            help="Name of the scrape job, which the rules select by. Default: as before, or the mixin's.",
            metavar="NAME",
            autocompletion=completion.jobs,
        ),
    ] = None,
    rules_only: Annotated[
        bool,
        typer.Option(
            "--rules-only",
            help="Add no scrape job; use your own, named by --job. Default: as before.",
        ),
    ] = False,
    scrape_only: Annotated[
        bool | None,
        typer.Option(
            "--scrape-only/--no-scrape-only",
            help="Add no rules, as for an agent, which has none; load them where the metrics are stored. Default: as "
            "before.",
        ),
    ] = None,
    no_config: Annotated[
        bool, typer.Option("--no-config", help="Forget the --config and --overlay files of earlier merges.")
    ] = False,
    *,
    source: Source,
    change: Change,
    console: Reporter,
) -> None:
    """Add a mixin's rules and scrape job to a prometheus.yml.

    The lines it adds stand between marks, in the file's own style; nothing else in the file changes, not even
    blanks. The marks remember --config, --overlay, --job, --target, --rules-only, --scrape-only and what Jsonnet got
    from outside: run merge again without them to update its lines and rules. One file can hold several mixins, and
    several installations of one, each with a --name and a --job of its own.

    Before anything is written, merge shows the difference, has promtool check it (if on PATH) and asks. The old file
    is kept as prometheus.yml.<time>.bak; of these, the newest five stay.

    \b
    Examples
    See what would change:
      kronos-mixin merge prometheus.yml --target forecasts-1:8000 --dry-run
    Change it, and reload Prometheus:
      kronos-mixin merge prometheus.yml --target forecasts-1:8000 \\
        --target forecasts-2:8000 --reload http://localhost:9090
    With your own thresholds, by a program:
      kronos-mixin merge prometheus.yml --config mine.yml --yes --format json
    You already scrape the service, in a job called forecasts:
      kronos-mixin merge prometheus.yml --job forecasts --rules-only
    A second installation beside the first:
      kronos-mixin merge prometheus.yml --name staging --job staging \\
        --target staging-1:8000
    Add another mixin:
      kronos-mixin merge prometheus.yml --mixin vendor/node-mixin
    Undo it:
      kronos-mixin unmerge prometheus.yml

    Exit code 0: merged, or nothing to do; 1: refused, nothing was changed, or a Prometheus of --reload does not run
    what was written, as the message says; 2: bad command line.
    """
    servers = change.servers
    if rules_only and scrape_only:
        fail("--rules-only and --scrape-only exclude each other", USAGE)
    try:
        text, known_as = read(prometheus_yml), source.name or name_of(entry(source.path))
        base = without_dots(prometheus_yml.parent)
        before = request.earlier(prometheus_yml, text, known_as)
        asked = request.Request(
            source.config or (),
            job,
            target or (),
            rules_only,
            scrape_only,
            source.overlay or (),
            source.outside,
        )
        wanted = request.combined(asked, before, forget_config=no_config)
        if wanted.rules_only and not rules_only:
            console.note("Only the rules, as before; --target HOST:PORT adds a scrape job.")
        source = source.with_those(wanted.config, wanted.overlay, wanted.outside)
        if is_ours(source.path):
            data = source.evaluate(console, above=request.layers(wanted))
            scraped = data.scrape_configs
            groups = scraped[0].get("static_configs") or []
            if groups and not (wanted.rules_only or wanted.targets or block_of(text, known_as, "scrape_configs")):
                console.note(f"No --target was given: {', '.join(groups[0]['targets'])} will be scraped.")
        else:
            data = source.evaluate(console)
            scraped = request.of_another(data, wanted)
        jobs = [] if wanted.rules_only else scraped
        plan = plan_merge(
            prometheus_yml,
            data,
            jobs,
            rules_dir,
            wanted.options(base),
            scrape_only=wanted.scrape_only,
            restore=bool(target),
        )
    except CompileError as error:
        fail(str(error))
    except MergeError as error:
        fail(f"{prometheus_yml}: {error}")
    _carry_out(plan, change, servers, console, ["merge", prometheus_yml, *_which(source.mixin, source.name)])


@grouped
def unmerge(
    prometheus_yml: ConfigArgument,
    rules_dir: Annotated[
        Path | None,
        typer.Option("--rules-dir", help="Remove rule files from this folder, too.", metavar="DIR"),
    ] = None,
    mixin: MixinOption = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="Name that the mixin was merged by.", metavar="NAME", autocompletion=completion.mixins
        ),
    ] = None,
    *,
    change: Change,
    console: Reporter,
) -> None:
    """Remove what merge added.

    Its lines and rule files go; if nobody has edited the file since, it is byte for byte what it was.

    \b
    Examples
      kronos-mixin unmerge prometheus.yml --reload http://localhost:9090
      kronos-mixin unmerge prometheus.yml --name node --dry-run --format json

    Exit code 0: removed, or nothing to do; 1: refused, nothing was changed, or a Prometheus of --reload does not run
    what was written, as the message says; 2: bad command line.
    """
    servers = change.servers
    try:
        plan = plan_unmerge(prometheus_yml, name or name_of(path_of(mixin)), rules_dir)
    except MergeError as error:
        fail(f"{prometheus_yml}: {error}")
    _carry_out(plan, change, servers, console, ["unmerge", prometheus_yml, *_which(mixin, name)])


def _which(mixin: Path | None, name: str | None) -> list[str]:
    """The options that name the mixin."""
    return [*each("--mixin", [mixin] if mixin else []), *each("--name", [name] if name else [])]


def _carry_out(plan: Plan, change: Change, servers: list[Reload], console: Reporter, again: list[object]) -> None:
    """Show the planned change, ask, make it. `again` are the arguments of the running command, for hints."""
    for note in plan.notes:
        console.note(note)
    changed, told, backup = plan.changed, {} if console.for_people else _told(plan), None
    if not changed:
        console.done(f"{plan.config}: nothing to do")
    else:
        if not console.quiet or change.dry_run:
            console.diff(describe(plan, whole=console.verbose))
        with _refusing(plan), console.progress("running promtool"):
            notes = validate(plan)
        for note in notes:
            console.note(note)
    if change.dry_run:
        console.end(told | {"done": False})
        return
    with _refusing(plan):
        if changed:
            if not change.yes:
                console.confirm("Change it?")
            backup = apply(plan, servers)
            console.done(f"{plan.config}: done" + (f"; backup: {backup}" if backup else ""))
        else:
            for server in servers:
                server()
    if changed and not servers:
        reload = command(*again, "--reload", "http://localhost:9090")
        console.done(f"Prometheus has not read it yet: run `{reload}`, send it SIGHUP, or restart it.")
    told |= {"done": changed, "backup": str(backup) if backup else None}
    _prove(plan, servers, console, told)


def _told(plan: Plan) -> dict[str, object]:
    """What would be done, for programs."""
    return {
        "config": str(plan.config),
        "mixin": plan.name,
        "files": [{"path": str(path), "verb": verb} for path, verb in plan.files.items()],
        "groups": plan.groups,
        "jobs": plan.jobs,
        "diff": describe(plan, whole=True),
    }


def _prove(plan: Plan, servers: list[Reload], console: Reporter, told: dict[str, object]) -> None:
    """Ask each Prometheus what it runs since its reload, and end. It is a failure if that is not what was written."""
    failed, asked = [], []
    for server in servers:
        with console.progress(f"asking {server}"):
            wrong = loaded.missing(plan, server)
        asked.append({"server": str(server), "wrong": wrong})
        if wrong:
            failed.append(f"The Prometheus at {server} has reloaded, but " + ";\n  ".join(wrong) + ".")
            continue
        held = f"it runs {', '.join(plan.held)}" if plan.entries else f"it runs nothing of {plan.name} any more"
        console.done(f"The Prometheus at {server} has reloaded: {held}.")
    told["reloaded"] = asked
    if failed:
        fail("\n".join([*failed, "The files stay as they are."]), data=told)
    console.end(told)


@contextlib.contextmanager
def _refusing(plan: Plan) -> Iterator[None]:
    """Exit with a message if the change can't be made."""
    try:
        yield
    except MergeError as error:
        fail(f"{plan.config}: {error}\nNothing was changed.")
    except ReloadError as error:
        fail("\n".join([str(error), *loaded.unreadable(plan)]))
    except UndoError as error:
        fail(f"{error.__cause__ or plan.config}\nThis could not be put back:\n{error}")
    except OSError as error:
        fail(f"{error.filename or plan.config}: {error.strerror or error}\nNothing was changed.")
