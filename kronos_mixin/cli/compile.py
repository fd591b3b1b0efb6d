"""`kronos-mixin compile`."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli.console import Console, fail
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import DEFAULT_OUTPUT, Metadata, OutputOption, Source
from kronos_mixin.compile import Target, example_links, leftovers, lost, refuse_invalid, render, targets_in, write
from kronos_mixin.inputs import Inputs
from kronos_mixin.jsonnet import CompileError, entry, is_ours


@grouped
def compile(  # noqa: A001 - As the command is called.
    source: Source,
    output: OutputOption = DEFAULT_OUTPUT,
    target: Annotated[
        list[Target] | None,
        typer.Option(
            "--target",
            help="plain: files for Prometheus and Grafana; kubernetes: PrometheusRule and ConfigMap objects; "
            "scrapeconfig: the scrape job for the Prometheus Operator; grafana-alerts: alerts that Grafana 12 "
            "evaluates itself; grafana-v2: dashboards for Grafana 13; openslo: objectives. May be repeated. "
            "Default: plain, and what the folder holds.",
            metavar="NAME",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Compile again whenever a file changes that was read, until Ctrl-C."),
    ] = False,
    *,
    metadata: Metadata,
    console: Console,
) -> None:
    """Compile a mixin into files for Prometheus and Grafana.

    Either all files are written or none. Files left over from an earlier run are removed; files that it didn't write
    are never touched. Dashboards of other mixins go to grafana/NAME/FOLDER/: a provider of Grafana's that has
    foldersFromFilesStructure shows them in that folder.

    \b
    Examples
    The Kronos mixin, into ./monitoring:
      kronos-mixin compile
    With your own thresholds:
      echo 'kronos: {alerts: {KronosHighErrorRate: {threshold: 0.05}}}' > mine.yml
      kronos-mixin compile --config mine.yml
    For the Prometheus Operator and Grafana's sidecar:
      kronos-mixin compile --target kubernetes --namespace monitoring \\
        --label release=prometheus
    Alerts that Grafana evaluates, and the objectives for other tools:
      kronos-mixin compile --target grafana-alerts --data-source prom \\
        --target openslo
    Another mixin, with libraries in vendor/:
      kronos-mixin compile --mixin vendor/node-mixin --output monitoring/node
    The same without one of its alerts:
      echo 'alerts: {NodeRAIDDegraded: {enabled: false}}' > changes.yml
      kronos-mixin compile --mixin vendor/node-mixin --overlay changes.yml
    Again after every save, also of libraries and configuration:
      kronos-mixin compile --watch

    Exit code 0: written; 1: an error in the mixin or its configuration, or a folder that can't be written; 2: bad
    command line.
    """
    once = functools.partial(_compile, source, output, target, metadata, console)
    if watch:
        _watch(once, console)
        return
    changes, warning = once(Inputs())
    for path in changes:
        console.done(str(path))
    if warning:
        console.note(warning)


def _watch(once: Callable[[Inputs], tuple[dict[Path, bool], str]], console: Console) -> None:
    """Compile, and again after every change, until Ctrl-C."""
    warned = ""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            inputs, start = Inputs(), time.monotonic()
            with contextlib.suppress(typer.Exit):  # What was wrong has been said, and may be right the next time.
                changes, warning = once(inputs)
                changed = [path for path, differs in changes.items() if differs]
                for path in changed:
                    console.done(str(path))
                if warning != warned:
                    console.note(warning)
                warned = warning
                console.done(f"{len(changed)} of {len(changes)} files changed in {time.monotonic() - start:.2f} s")
            console.done(f"watching {len(inputs.files())} files ...")
            for path in inputs.wait():
                console.done(f"{path}: changed")


def _compile(
    source: Source,
    output: Path,
    target: Sequence[Target] | None,
    metadata: Metadata,
    console: Console,
    inputs: Inputs,
) -> tuple[dict[Path, bool], str]:
    """Compile once. Returns the files, each with whether it has changed, and a warning; exits on an error."""
    data = source.evaluate(console, inputs=inputs)
    targets = set(target or []) or {Target.plain} | targets_in(output, data.name)
    try:
        doubts = refuse_invalid(data)
        files = render(data, targets, metadata.place)
    except CompileError as error:
        fail(str(error))
    if not files:
        why = "; ".join(lost(data, targets)) or "no grafanaDashboards, prometheusAlerts or prometheusRules"
        fail(f"{source.path}: nothing to compile: {why}")
    stale = leftovers(files, output, data.name)
    changed = {output / file: _differs(output / file, text) for file, text in files.items()}
    try:
        kept = write(files, output, data.name, None if is_ours(source.path) else entry(source.path))
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror}; nothing was changed")
    for path in stale:
        if path in kept:
            console.note(f"{path}: left over from an earlier run, but edited since: kept")
        else:
            console.done(f"{path}: removed")
    return changed, "\n".join(filter(None, [*doubts, *lost(data, targets), example_links(data)]))


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode()
    except OSError:
        return True
