"""The commands merge and unmerge: for those who run a central Prometheus."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import MixinOption, NameOption, Source, path_of
from kronos_mixin.cli.say import USAGE, Say, fail
from kronos_mixin.commands import command, each
from kronos_mixin.compile import rule_file_names
from kronos_mixin.jsonnet import CompileError, entry, is_ours, name_of
from kronos_mixin.merge import request
from kronos_mixin.merge.apply import apply
from kronos_mixin.merge.plan import Plan, describe, plan_merge, plan_unmerge, read
from kronos_mixin.merge.prometheusyml import Refused
from kronos_mixin.merge.reload import Reload, ReloadFailed
from kronos_mixin.merge.validate import validate

ConfigArgument = Annotated[
    Path,
    typer.Argument(
        help="The configuration of your Prometheus, under the name by which it reads it.", metavar="PROMETHEUS_YML"
    ),
]


@dataclasses.dataclass(frozen=True)
class Change:
    """How a change is made."""

    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would change, and stop.")] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False
    reload: Annotated[
        str | None,
        typer.Option(
            "--reload",
            help="Make the Prometheus at this address read the file, changed or not; if it refuses a change, put "
            "everything back.",
            metavar="URL",
        ),
    ] = None

    @property
    def prometheus(self) -> Reload | None:
        """The Prometheus of --reload; ends on what is no address."""
        try:
            return Reload(self.reload) if self.reload else None
        except ValueError as error:
            fail(f"--reload {error}", USAGE)


@grouped
def merge(
    prometheus_yml: ConfigArgument,
    rules_dir: Annotated[
        Path | None,
        typer.Option(
            "--rules-dir",
            help="Folder for the rule files. Default: where they are, at first kronos-mixin/ beside PROMETHEUS_YML.",
            metavar="DIR",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="Address of a service to scrape. May be repeated. Default: those that were given before.",
            metavar="HOST:PORT",
        ),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option(
            "--job",
            help="Name of the scrape job, which the rules will select by. Default: as before, at first the mixin's.",
            metavar="NAME",
        ),
    ] = None,
    rules_only: Annotated[
        bool,
        typer.Option(
            "--rules-only",
            help="Add no scrape job: you have one, called as --job says. Until --target is given.",
        ),
    ] = False,
    no_config: Annotated[
        bool, typer.Option("--no-config", help="Go on without the --config files of the last merge.")
    ] = False,
    *,
    source: Source,
    change: Change,
    speak: Say,
) -> None:
    """Add rules and scrape job of a mixin to a Prometheus configuration that you have.

    Only marked lines are added, in the file's own layout; everything else keeps every byte. The marks remember
    --config, --job, --target and --rules-only: run again without them, merge brings its lines and rules up to date.
    Several mixins can be in one file.

    It shows the difference and asks. promtool, where it is on PATH, must agree first. The old file is kept beside the
    new one, as prometheus.yml.<time>.bak; the newest five of these stay.

    \b
    Examples
    Look first:
      kronos-mixin merge /etc/prometheus/prometheus.yml --target forecasts-1:8000 --dry-run
    Do it, and have it read:
      kronos-mixin merge /etc/prometheus/prometheus.yml --target forecasts-1:8000 --target forecasts-2:8000 \\
        --reload http://localhost:9090
    With thresholds of your own:
      kronos-mixin merge /etc/prometheus/prometheus.yml --config mine.yml
    You scrape the service already, in a job called forecasts:
      kronos-mixin merge /etc/prometheus/prometheus.yml --job forecasts --rules-only
    Another mixin beside it:
      kronos-mixin merge /etc/prometheus/prometheus.yml --mixin vendor/node-mixin
    Take it out again:
      kronos-mixin unmerge /etc/prometheus/prometheus.yml

    Exit code 0: merged, or nothing to do; 1: refused, and nothing was changed; 2: the command line is wrong.
    """
    prometheus = change.prometheus
    try:
        text, known_as = read(prometheus_yml), source.name or name_of(entry(source.path))
        base = prometheus_yml.absolute().parent
        before = request.earlier(text, known_as, base)
        asked = request.Request(source.config or (), job, target or (), rules_only)
        wanted = request.combined(asked, before, forget_config=no_config)
        if wanted.rules_only and not rules_only:
            speak.note("As before, the rules alone; --target HOST:PORT adds a scrape job.")
        source = dataclasses.replace(source, config=list(wanted.config))
        if is_ours(source.path):
            below, above = request.layers(wanted, text, known_as)
            data = source.evaluate(speak, below=below, above=above)
            scraped = data.scrape_configs
            if not (wanted.rules_only or wanted.targets or below):
                targets = ", ".join(scraped[0]["static_configs"][0]["targets"])
                speak.note(f"No --target was given: {targets} will be scraped.")
        else:
            data = source.evaluate(speak)
            scraped = request.of_another(data, wanted, text)
        jobs = [] if wanted.rules_only else scraped
        plan = plan_merge(prometheus_yml, data, jobs, rules_dir, wanted.options(base))
    except CompileError as error:
        fail(str(error))
    except Refused as error:
        fail(f"{prometheus_yml}: {error}")
    _carry_out(plan, change, prometheus, speak, ["merge", prometheus_yml, *_which(source.mixin, source.name)])


@grouped
def unmerge(
    prometheus_yml: ConfigArgument,
    rules_dir: Annotated[
        Path | None,
        typer.Option(
            "--rules-dir", help="Folder of rule files to remove, beside those that its block names.", metavar="DIR"
        ),
    ] = None,
    mixin: MixinOption = None,
    name: NameOption = None,
    *,
    change: Change,
    speak: Say,
) -> None:
    """Take out what merge has added: its lines and its rule files.

    Where nobody has edited anything else, the file is byte for byte what it was; else only our lines go.

    \b
    Examples
      kronos-mixin unmerge /etc/prometheus/prometheus.yml --reload http://localhost:9090
      kronos-mixin unmerge /etc/prometheus/prometheus.yml --name node

    Exit code 0: taken out, or nothing to do; 1: refused, and nothing was changed; 2: the command line is wrong.
    """
    prometheus = change.prometheus
    try:
        plan = plan_unmerge(prometheus_yml, name or name_of(path_of(mixin)), rules_dir)
    except Refused as error:
        fail(f"{prometheus_yml}: {error}")
    _carry_out(plan, change, prometheus, speak, ["unmerge", prometheus_yml, *_which(mixin, name)])


def _which(mixin: Path | None, name: str | None) -> list[str]:
    """The options that say which mixin it is."""
    return [*each("--mixin", [mixin] if mixin else []), *each("--name", [name] if name else [])]


def _carry_out(plan: Plan, change: Change, prometheus: Reload | None, speak: Say, again: list[object]) -> None:
    """Show and make the planned change; `again` are the arguments of the command that it belongs to."""
    for note in plan.notes:
        speak.note(note)
    if not plan.changed:
        speak.done(f"{plan.config}: nothing to do")
        if prometheus and not change.dry_run:
            with _refusing(plan):
                prometheus()
            _look(plan, prometheus, speak)
        return
    if not speak.quiet or change.dry_run:
        speak.diff(describe(plan, whole=speak.verbose))
    with _refusing(plan):
        with speak.progress("asking promtool"):
            notes = validate(plan)
        for note in notes:
            speak.note(note)
        if change.dry_run:
            return
        if not change.yes:
            _confirm()
        backup = apply(plan, prometheus)
    speak.done(f"{plan.config}: done" + (f"; as it was before: {backup}" if backup else ""))
    if prometheus:
        _look(plan, prometheus, speak)
    else:
        reload = command(*again, "--reload", "http://localhost:9090")
        speak.done(f"Prometheus has not read it yet: run `{reload}`, send it SIGHUP, or restart it.")


def _look(plan: Plan, prometheus: Reload, speak: Say) -> None:
    """Say what a Prometheus that has reloaded reads now."""
    read = prometheus.rule_files()
    wanted, ours = {path.name for path in plan.rule_files}, set(rule_file_names(plan.name))
    if read is None:
        speak.note(f"The Prometheus at {prometheus} has reloaded, but does not say what it reads.")
    elif wanted - read:
        speak.note(f"The Prometheus at {prometheus} has reloaded, but reads another file than {plan.config}.")
    elif left := sorted((ours & read) - wanted):
        speak.note(f"The Prometheus at {prometheus} has reloaded, but still reads {', '.join(left)} from elsewhere.")
    else:
        held = f"it reads {', '.join(sorted(wanted))}" if wanted else f"it reads nothing of {plan.name} any more"
        speak.done(f"The Prometheus at {prometheus} has reloaded: {held}.")


@contextlib.contextmanager
def _refusing(plan: Plan) -> Iterator[None]:
    """End with one message where the change can't be made."""
    try:
        yield
    except Refused as error:
        fail(f"{plan.config}: {error}\nNothing was changed.")
    except ReloadFailed as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or plan.config}: {error.strerror or error}\nNothing was changed.")


def _confirm() -> None:
    try:
        if typer.confirm("Change it?", err=True):
            return
    except typer.Abort:
        typer.echo(err=True)
        fail("There is no one to ask: say --yes, or --dry-run. Nothing was changed.")
    fail("Nothing was changed.")
