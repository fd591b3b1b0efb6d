"""The commands merge and unmerge: for those who run a central Prometheus."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kronos_mixin.cli.options import (
    ConfigOption,
    JpathOption,
    MixinOption,
    NameOption,
    QuietOption,
    VerboseOption,
    evaluated,
    path_of,
)
from kronos_mixin.cli.say import USAGE, Say, fail
from kronos_mixin.config import Config
from kronos_mixin.jsonnet import Mixin, entry, is_ours, name_of
from kronos_mixin.merge import plan as merging
from kronos_mixin.merge import splice
from kronos_mixin.merge.prometheusyml import Refused
from kronos_mixin.merge.reload import Reload, ReloadFailed
from kronos_mixin.merge.validate import validate

ConfigArgument = Annotated[
    Path,
    typer.Argument(
        help="The configuration of your Prometheus, under the name by which it reads it.", metavar="PROMETHEUS_YML"
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would change, and stop.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
ReloadOption = Annotated[
    str | None,
    typer.Option(
        "--reload",
        help="Tell the Prometheus at this address to read it; if it refuses, put everything back.",
        metavar="URL",
    ),
]


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
    mixin: MixinOption = None,
    jpath: JpathOption = None,
    config: ConfigOption = None,
    name: NameOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    reload: ReloadOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
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
    speak = Say(quiet, verbose)
    reloading = _reload(reload)
    ours = is_ours(path_of(mixin))
    try:
        text, known_as = merging.read(prometheus_yml), name or name_of(entry(path_of(mixin)))
        before = _before(splice.entries_of(text, known_as))
        job = job or before[0] or (splice.job_of(text, known_as) if ours else None)
        targets = target or before[1]
        below, above = _laid(job, targets) if ours else ([], [])
        data = evaluated(speak, mixin, jpath, config, name, below=below, above=above)
        jobs = [] if rules_only else data.scrape_configs if ours else _jobs(data, job, targets)
        if jobs and ours and not targets:
            speak.note(
                f"No --target was given: {', '.join(jobs[0]['static_configs'][0]['targets'])} will be scraped."
            )
        plan = merging.plan_merge(prometheus_yml, data, jobs, rules_dir, job)
    except Refused as error:
        fail(f"{prometheus_yml}: {error}")
    words = [str(path.name) for path in plan.rule_files]
    _carry_out(speak, plan, reloading, words, dry_run, yes)


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
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    reload: ReloadOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Take out what merge has added: its lines and its rule files.

    Where nobody has edited anything else, the file is byte for byte what it was; else only our lines go.

    \b
    Examples
      kronos-mixin unmerge /etc/prometheus/prometheus.yml --reload http://localhost:9090
      kronos-mixin unmerge /etc/prometheus/prometheus.yml --name node

    Exit code 0: taken out, or nothing to do; 1: refused, and nothing was changed; 2: the command line is wrong.
    """
    speak = Say(quiet, verbose)
    reloading = _reload(reload)
    try:
        plan = merging.plan_unmerge(prometheus_yml, name or name_of(path_of(mixin)), rules_dir)
    except Refused as error:
        fail(f"{prometheus_yml}: {error}")
    _carry_out(speak, plan, reloading, [], dry_run, yes)


def _carry_out(
    speak: Say, plan: merging.Plan, reload: Reload | None, words: list[str], dry_run: bool, yes: bool
) -> None:
    for note in plan.notes:
        speak.note(note)
    if not plan.changed:
        speak.done(f"{plan.config}: nothing to do")
        return
    if not speak.quiet or dry_run:
        speak.diff(merging.describe(plan, whole=speak.verbose))
    with _refusing(plan):
        with speak.progress("asking promtool"):
            notes = validate(plan)
        for note in notes:
            speak.note(note)
        if dry_run:
            return
        if not yes:
            _confirm()
        backup = merging.apply(plan, reload)
    speak.done(f"{plan.config}: done" + (f"; as it was before: {backup}" if backup else ""))
    if reload is None:
        speak.done("Have Prometheus read it: --reload URL, SIGHUP, or a restart.")
    elif words and reload.reads(words) is False:
        speak.note(f"The Prometheus at {reload} has reloaded, but reads another file than {plan.config}.")
    else:
        speak.done(f"The Prometheus at {reload} has read it.")


@contextlib.contextmanager
def _refusing(plan: merging.Plan) -> Iterator[None]:
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


def _reload(url: str | None) -> Reload | None:
    try:
        return Reload(url) if url else None
    except ValueError as error:
        fail(f"--reload {error}", USAGE)


def _before(held: Mapping[str, list[Any]]) -> tuple[str | None, list[str]]:
    """Job and targets that an earlier merge has added, maybe edited since."""
    for job in held.get("scrape_configs", []):
        if isinstance(job, dict):
            groups = [group for group in job.get("static_configs") or [] if isinstance(group, dict)]
            return job.get("job_name"), [str(target) for group in groups for target in group.get("targets") or []]
    return None, []


def _laid(job: str | None, targets: list[str]) -> tuple[list[Config], list[Config]]:
    """What --job and --target mean to the Kronos mixin: below and above the user's own configuration."""
    below: list[Config] = []
    scrape: dict[str, Any] = {}
    if job:
        selector = job.replace("\\", "\\\\").replace('"', '\\"')
        below.append({"kronos": {"selector": f'job="{selector}"', "expectedTargets": [{"job": job}]}})
        scrape["job"] = job
    if targets:
        scrape["targets"] = targets
    return below, [{"kronos": {"scrape": scrape}}] if scrape else []


def _jobs(mixin: Mixin, job: str | None, targets: list[str]) -> list[dict[str, Any]]:
    """Scrape jobs of another mixin; few bring one."""
    jobs = list(mixin.scrape_configs)
    if not (job or targets):
        return jobs
    if not jobs and not (job and targets):
        raise Refused(f"the mixin {mixin.name} has no scrape job: name both, --job and --target, or none")
    if len(jobs) > 1:
        raise Refused(f"the mixin {mixin.name} has {len(jobs)} scrape jobs: change them with --config")
    named = {"job_name": job} if job else {}
    return [{**(jobs[0] if jobs else {}), **named, **({"static_configs": [{"targets": targets}]} if targets else {})}]
