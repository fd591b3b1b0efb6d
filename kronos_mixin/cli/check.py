"""The command check."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Annotated

import typer

from kronos_mixin.check import others, ours
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import DEFAULT_OUTPUT, Metadata, OutputOption, Source, output_arguments
from kronos_mixin.cli.say import NO, Say, fail
from kronos_mixin.commands import command
from kronos_mixin.compile import Target, render, targets_in
from kronos_mixin.contract import ContractError, load_contract
from kronos_mixin.jsonnet import CompileError, is_ours


class Format(enum.StrEnum):
    """What `--format` takes."""

    text = "text"
    json = "json"


@grouped
def check(
    source: Source,
    output: OutputOption = DEFAULT_OUTPUT,
    form: Annotated[Format, typer.Option("--format", help="How findings are printed.")] = Format.text,
    *,
    metadata: Metadata,
    speak: Say,
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
    data = source.evaluate(speak)
    again = command("compile", *source.arguments, *output_arguments(output), *metadata.arguments)
    try:
        targets = targets_in(output, data.name) or {Target.plain}
        files = render(data, targets, labels=metadata.labels, namespace=metadata.namespace)
        with speak.progress("checking"):
            if is_ours(source.path):
                contract = load_contract(source.path / "metrics.json")
                findings = ours.check(data, contract, files, output, source.path, again)
            else:
                findings = others.check(data, files, output, again)
    except (CompileError, ContractError) as error:
        fail(str(error))
    counts = {
        "rules": sum(len(group.get("rules", [])) for group in data.rules),
        "alerts": sum(len(group.get("rules", [])) for group in data.alerts),
        "dashboards": len(data.dashboards),
    }
    if form is Format.json:
        found = [dataclasses.asdict(finding) for finding in findings]
        speak.result(json.dumps({"mixin": data.name, **counts, "findings": found}, indent=2))
    else:
        for finding in findings:
            speak.result(str(finding))
    if findings:
        raise typer.Exit(NO)
    if form is Format.text:
        rules, alerts, dashboards = counts.values()
        speak.done(f"{rules} recording rules, {alerts} alerts, {dashboards} dashboards: nothing found")
