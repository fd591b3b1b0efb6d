"""`kronos-mixin check`."""

from __future__ import annotations

import dataclasses

from kronos_mixin.check import others, ours, waivers
from kronos_mixin.cli.console import FAILED, Reporter, fail
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import DEFAULT_OUTPUT, Installation, OutputOption, Source, output_arguments
from kronos_mixin.commands import command
from kronos_mixin.compile import Target, render, targets_in
from kronos_mixin.config import ConfigError
from kronos_mixin.contract import ContractError, load_contract
from kronos_mixin.jsonnet import CompileError, is_ours


@grouped
def check(
    source: Source,
    output: OutputOption = DEFAULT_OUTPUT,
    *,
    installation: Installation,
    console: Reporter,
) -> None:
    """Check a mixin and the files compiled from it.

    In the Kronos mixin, expressions may only read series and labels that the service exposes or a rule records,
    every recorded series must be used, and the compiled files must be up to date.

    In any other mixin, expressions must be PromQL (what may only be newer than this program is a warning), labels
    must be there where they are known, and series named like recorded ones must be recorded by a rule.
    Compiled files are compared if there are any.

    If promtool is on PATH, it checks the rules as well. A file .lint beside the mixin, as dashboard-linter and
    mixtool read it, excuses findings by the name in their brackets.

    \b
    Examples
      kronos-mixin check
      kronos-mixin check --config mine.yml --format json
      kronos-mixin check --mixin vendor/kubernetes-mixin

    Exit code 0: nothing found but warnings; 1: findings, or the mixin doesn't compile; 2: bad command line.
    """
    data = source.evaluate(console)
    again = command("compile", *source.arguments, *output_arguments(output), *installation.arguments)
    try:
        targets = targets_in(output, data.name) or {Target.plain}
        files = render(data, targets, installation.place)
        with console.progress("checking"):
            if is_ours(source.path):
                contract = load_contract(source.path / "metrics.json")
                configured = bool(source.config or source.overlay)
                findings = ours.check(
                    data, contract, files, output, source.path, configured=configured, compile_command=again
                )
            else:
                place = source.path if source.path.is_dir() else source.path.parent
                findings = others.check(data, files, output, again, waivers.waivers(place))
    except (CompileError, ConfigError, ContractError) as error:
        fail(str(error))
    counts = {
        "rules": sum(len(group.get("rules", [])) for group in data.rules),
        "alerts": sum(len(group.get("rules", [])) for group in data.alerts),
        "dashboards": len(data.dashboards),
    }
    for finding in findings:
        console.result(str(finding))
    passed = all(finding.warning for finding in findings)
    if passed:
        rules, alerts, dashboards = counts.values()
        found_what = "nothing but warnings" if findings else "nothing found"
        console.done(f"{rules} recording rules, {alerts} alerts, {dashboards} dashboards: {found_what}")
    found = [dataclasses.asdict(finding) for finding in findings]
    console.end({"mixin": data.name, **counts, "findings": found}, 0 if passed else FAILED)
