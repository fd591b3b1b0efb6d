"""The commands merge and unmerge: for those who run a central Prometheus."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import MixinOption, NameOption, Source, path_of
from kronos_mixin.cli.say import USAGE, Say, fail
from kronos_mixin.jsonnet import CompileError, entry, is_ours, name_of
from kronos_mixin.merge import jobs
from kronos_mixin.merge.apply import apply
from kronos_mixin.merge.blocks import entries_of, job_of
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


@dataclass(frozen=True)
class Manner:
    """How a change is made."""

    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would change, and stop.")] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False
    reload: Annotated[
        str | None,
        typer.Option(
            "--reload",
            help="Tell the Prometheus at this address to read it; if it refuses, put everything back.",
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
        ),
    ] = None,
    rules_only: Annotated[
        bool, typer.Option("--rules-only", help="Add no scrape job: you have one, called as --job says.")
    ] = False,
    *,
    source: Source,
    manner: Manner,
    speak: Say,
) -> None:
    """Add rules and scrape job of a mixin to a Prometheus configuration that you have.

    Your file is not written anew: marked lines are put into it, in its own layout, and everything else keeps every
    byte. Running it again changes nothing, or brings what it added up to date. Several mixins can be in one file.

    It shows the difference and asks. promtool, where it is on PATH, must agree first; the old file is kept beside the
    new one, as prometheus.yml.<time>.bak.

    \b
    Examples
    Look first:
      kronos-mixin merge /etc/prometheus/prometheus.yml --target forecasts-1:8000 --dry-run
    Do it, and have it read:
      kronos-mixin merge /etc/prometheus/prometheus.yml --target forecasts-1:8000 --target forecasts-2:8000 \\
        --reload http://localhost:9090
    You scrape the service already, in a job called forecasts:
      kronos-mixin merge /etc/prometheus/prometheus.yml --job forecasts --rules-only
    Another mixin beside it:
      kronos-mixin merge /etc/prometheus/prometheus.yml --mixin vendor/node-mixin
    Take it out again:
      kronos-mixin unmerge /etc/prometheus/prometheus.yml

    Exit code 0: merged, or nothing to do; 1: refused, and nothing was changed; 2: the command line is wrong.
    """
    prometheus = manner.prometheus
    ours = is_ours(source.path)
    try:
        text, known_as = read(prometheus_yml), source.name or name_of(entry(source.path))
        before = jobs.before(entries_of(text, known_as))
        job = job or before[0] or (job_of(text, known_as) if ours else None)
        targets = target or before[1]
        below, above = jobs.laid(job, targets) if ours else ([], [])
        data = source.evaluate(speak, below=below, above=above)
        scraped = [] if rules_only else data.scrape_configs if ours else jobs.of_another(data, job, targets)
        if scraped and ours and not targets:
            speak.note(
                f"No --target was given: {', '.join(scraped[0]['static_configs'][0]['targets'])} will be scraped."
            )
        plan = plan_merge(prometheus_yml, data, scraped, rules_dir, job)
    except CompileError as error:
        fail(str(error))
    except Refused as error:
        fail(f"{prometheus_yml}: {error}")
    _carry_out(plan, manner, prometheus, speak)


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
    manner: Manner,
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
    prometheus = manner.prometheus
    try:
        plan = plan_unmerge(prometheus_yml, name or name_of(path_of(mixin)), rules_dir)
    except Refused as error:
        fail(f"{prometheus_yml}: {error}")
    _carry_out(plan, manner, prometheus, speak)


def _carry_out(plan: Plan, manner: Manner, prometheus: Reload | None, speak: Say) -> None:
    for note in plan.notes:
        speak.note(note)
    if not plan.changed:
        speak.done(f"{plan.config}: nothing to do")
        return
    if not speak.quiet or manner.dry_run:
        speak.diff(describe(plan, whole=speak.verbose))
    with _refusing(plan):
        with speak.progress("asking promtool"):
            notes = validate(plan)
        for note in notes:
            speak.note(note)
        if manner.dry_run:
            return
        if not manner.yes:
            _confirm()
        backup = apply(plan, prometheus)
    speak.done(f"{plan.config}: done" + (f"; as it was before: {backup}" if backup else ""))
    words = [path.name for path in plan.rule_files]
    if prometheus is None:
        speak.done("Have Prometheus read it: --reload URL, SIGHUP, or a restart.")
    elif words and prometheus.reads(words) is False:
        speak.note(f"The Prometheus at {prometheus} has reloaded, but reads another file than {plan.config}.")
    else:
        speak.done(f"The Prometheus at {prometheus} has read it.")


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
