"""The command line: `kronos-mixin`, or `python build.py` in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin import __version__, central, say, vendoring
from kronos_mixin.check import check as find
from kronos_mixin.compile import Target, leftovers, render, targets_in, write
from kronos_mixin.contract import ContractError, load_contract
from kronos_mixin.jsonnet import CompileError, is_ours
from kronos_mixin.options import (
    ConfigOption,
    Format,
    JpathOption,
    LabelOption,
    MixinOption,
    NameOption,
    NamespaceOption,
    OutputOption,
    QuietOption,
    VerboseOption,
    evaluated,
    labels_of,
    path_of,
)
from kronos_mixin.say import Say, fail
from kronos_mixin.survey import as_json, survey

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kronos-mixin {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Recording rules, alerts and dashboards for your Prometheus and Grafana, out of a mixin.

    A mixin is a Jsonnet package of them. Kronos's own is built in; any other in the community's layout works, too.

    \b
    compile   makes the files that you import
    check     says what is wrong with a mixin before a Prometheus has to
    merge     adds rules and scrape job to a prometheus.yml that you have; unmerge takes them out
    vendor    lays the Kronos mixin into a Jsonnet repository of yours

    Each has examples: kronos-mixin compile --help

    \b
    Exit codes
    0  done, or nothing found
    1  findings, a refusal, or wrong input: the message says which, and what to do
    2  the command line is wrong
    3  vendor only: the remote repository can't be asked
    """


@app.command()
def compile(  # noqa: A001
    mixin: MixinOption = None,
    jpath: JpathOption = None,
    config: ConfigOption = None,
    output: OutputOption = Path("monitoring"),
    target: Annotated[
        list[Target] | None,
        typer.Option(
            "--target",
            help="plain: files for Prometheus and Grafana; kubernetes: PrometheusRule and ConfigMap objects. May be "
            "repeated. Default: plain, and whatever was compiled into the folder before.",
        ),
    ] = None,
    namespace: NamespaceOption = None,
    label: LabelOption = None,
    name: NameOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compile a mixin into files for Prometheus and Grafana.

    All files are written, or none. Files that an older run wrote and this one would not are removed; what somebody
    else put into the folder stays, and is never replaced.

    \b
    Examples
    The Kronos mixin as it is, into ./monitoring:
      kronos-mixin compile
    With your own thresholds, without any Jsonnet:
      echo 'kronos: {alerts: {KronosHighErrorRate: {threshold: 0.05}}}' > mine.yml
      kronos-mixin compile --config mine.yml
    For the Prometheus Operator and Grafana's sidecar:
      kronos-mixin compile --target kubernetes --namespace monitoring --label release=prometheus
    Another mixin, with the libraries that `jb install` put into vendor/:
      kronos-mixin compile --mixin vendor/node-mixin --output monitoring/node

    Exit code 0: written; 1: the mixin or its configuration is wrong, or the folder can't be written; 2: the command
    line is wrong.
    """
    speak = Say(quiet, verbose)
    data = evaluated(speak, mixin, jpath, config, name)
    targets = set(target or []) or {Target.plain} | targets_in(output, data.name)
    try:
        files = render(data, targets, labels=labels_of(label), namespace=namespace)
    except CompileError as error:
        fail(str(error))
    if not files:
        fail(f"{mixin}: holds nothing to write: no grafanaDashboards, prometheusAlerts or prometheusRules")
    stale = leftovers(files, output, data.name)
    try:
        kept = write(files, output, data.name)
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror}; nothing was changed")
    for file in files:
        speak.done(str(output / file))
    for path in stale:
        if path in kept:
            speak.note(f"{path}: is left over from an older mixin, but was edited since: it stays")
        else:
            speak.done(f"{path}: removed")


@app.command()
def check(
    mixin: MixinOption = None,
    jpath: JpathOption = None,
    config: ConfigOption = None,
    output: OutputOption = Path("monitoring"),
    form: Annotated[Format, typer.Option("--format", help="How findings are printed.")] = Format.text,
    namespace: NamespaceOption = None,
    label: LabelOption = None,
    name: NameOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check a mixin, and that the compiled files are up to date. One line per finding.

    The Kronos mixin: every expression must parse and read only series and labels that the service exposes or a rule
    records; each recorded series must be read by something; the files in the output folder must be what the mixin
    compiles to.

    Any other: expressions must parse, and series that only a rule can make (with a colon in their name) must be
    recorded by one. Compiled files are compared if there are any.

    Both: promtool must agree with the rules, where it is on PATH.

    \b
    Examples
      kronos-mixin check
      kronos-mixin check --config mine.yml --format json
      kronos-mixin check --mixin vendor/kubernetes-mixin

    Exit code 0: nothing found; 1: findings, or the mixin can't be compiled; 2: the command line is wrong.
    """
    speak = Say(quiet, verbose)
    data = evaluated(speak, mixin, jpath, config, name)
    try:
        targets = targets_in(output, data.name) or {Target.plain}
        files = render(data, targets, labels=labels_of(label), namespace=namespace)
        with speak.progress("checking"):
            if is_ours(path_of(mixin)):
                contract = load_contract(path_of(mixin) / "metrics.json")
                findings = find(data, contract, files, output, path_of(mixin))
            else:
                findings = survey(data, files, output)
    except (CompileError, ContractError) as error:
        fail(str(error))
    if form is Format.json:
        speak.result(as_json(findings, data))
    else:
        for finding in findings:
            speak.result(str(finding))
    if findings:
        raise typer.Exit(say.NO)
    if form is Format.text:
        rules = sum(len(group.get("rules", [])) for group in data.rules)
        alerts = sum(len(group.get("rules", [])) for group in data.alerts)
        dashboards = len(data.dashboards)
        speak.done(f"{rules} recording rules, {alerts} alerts, {dashboards} dashboards: nothing found")


app.command()(central.merge)
app.command()(central.unmerge)
app.command()(vendoring.vendor)


def main() -> None:
    """Entry point of the installed command."""
    say.end_in_order()
    app(prog_name="kronos-mixin")


if __name__ == "__main__":
    main()
