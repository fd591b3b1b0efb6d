"""`kronos-mixin compile`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.changes import Verb, of_file
from kronos_mixin.cli.console import Failed, Reporter, fail
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import DEFAULT_OUTPUT, Installation, OutputOption, Source
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
    installation: Installation,
    console: Reporter,
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
    For a program, which gets to know what became of each file:
      kronos-mixin compile --format json

    Exit code 0: written; 1: an error in the mixin or its configuration, or a folder that can't be written; 2: bad
    command line.
    """
    once = functools.partial(_compile, source, output, target, installation)
    if watch:
        _watch(once, console)
        return
    compiled = once(Inputs(), console)
    for path, verb in compiled.files.items():
        if verb is not Verb.keep:
            console.done(f"{path}: removed" if verb is Verb.remove else str(path))
    if compiled.warning:
        console.note(compiled.warning)
    console.end(compiled.data)


@dataclasses.dataclass(frozen=True)
class _Compiled:
    """What was compiled: what became of each file, and a warning."""

    mixin: str
    files: dict[Path, Verb]
    warning: str

    @property
    def data(self) -> dict[str, object]:
        """As programs are told."""
        return {
            "mixin": self.mixin,
            "files": [{"path": str(path), "verb": verb} for path, verb in self.files.items()],
        }


def _watch(once: Callable[[Inputs, Reporter], _Compiled], console: Reporter) -> None:
    """Compile, and again after every change, until Ctrl-C."""
    warned = ""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            inputs, start = Inputs(), time.monotonic()
            this = dataclasses.replace(console)  # With notes of its own.
            try:
                compiled = once(inputs, this)
            except Failed as failure:  # It may be right the next time.
                this.failed(failure)
            else:
                changed = [path for path, verb in compiled.files.items() if verb in {Verb.add, Verb.change}]
                for path in changed:
                    console.done(str(path))
                if compiled.warning and (compiled.warning != warned or not console.for_people):
                    this.note(compiled.warning)
                warned = compiled.warning
                console.done(
                    f"{len(changed)} of {len(compiled.files)} files changed in {time.monotonic() - start:.2f} s"
                )
                this.end(compiled.data)
            console.done(f"watching {len(inputs.files())} files ...")
            for path in inputs.wait():
                console.done(f"{path}: changed")


def _compile(
    source: Source,
    output: Path,
    target: Sequence[Target] | None,
    installation: Installation,
    inputs: Inputs,
    console: Reporter,
) -> _Compiled:
    """Compile once. Exits on an error."""
    data = source.evaluate(console, inputs=inputs)
    targets = set(target or []) or {Target.plain} | targets_in(output, data.name)
    try:
        doubts = refuse_invalid(data)
        files = render(data, targets, installation.place)
    except CompileError as error:
        fail(str(error))
    if not files:
        why = "; ".join(lost(data, targets)) or "no grafanaDashboards, prometheusAlerts or prometheusRules"
        fail(f"{source.path}: nothing to compile: {why}")
    stale = leftovers(files, output, data.name)
    try:
        verbs = {output / file: of_file(output / file, text) for file, text in files.items()}
        kept = write(files, output, data.name, None if is_ours(source.path) else entry(source.path))
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror}; nothing was changed")
    for path in kept:
        console.note(f"{path}: left over from an earlier run, but edited since: kept")
    verbs |= {path: Verb.keep if path in kept else Verb.remove for path in stale}
    return _Compiled(data.name, verbs, "\n".join(filter(None, [*doubts, *lost(data, targets), example_links(data)])))
