"""`kronos-mixin compile`."""

from __future__ import annotations

from typing import Annotated

import typer

from kronos_mixin.cli.console import Console, fail
from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import DEFAULT_OUTPUT, Metadata, OutputOption, Source
from kronos_mixin.compile import Target, example_links, leftovers, render, targets_in, write
from kronos_mixin.jsonnet import CompileError


@grouped
def compile(  # noqa: A001 - As the command is called.
    source: Source,
    output: OutputOption = DEFAULT_OUTPUT,
    target: Annotated[
        list[Target] | None,
        typer.Option(
            "--target",
            help="plain: files for Prometheus and Grafana; kubernetes: PrometheusRule and ConfigMap objects. May be "
            "repeated. Default: plain, and what the folder already holds.",
        ),
    ] = None,
    *,
    metadata: Metadata,
    console: Console,
) -> None:
    """Compile a mixin into files for Prometheus and Grafana.

    Either all files are written or none. Files left over from an earlier run are removed; files that it didn't write
    are never touched.

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
    Another mixin, with libraries from `jb install` in vendor/:
      kronos-mixin compile --mixin vendor/node-mixin --output monitoring/node

    Exit code 0: written; 1: an error in the mixin or its configuration, or a folder that can't be written; 2: bad
    command line.
    """
    data = source.evaluate(console)
    targets = set(target or []) or {Target.plain} | targets_in(output, data.name)
    try:
        files = render(data, targets, labels=metadata.labels, namespace=metadata.namespace)
    except CompileError as error:
        fail(str(error))
    if not files:
        fail(f"{source.path}: nothing to compile: no grafanaDashboards, prometheusAlerts or prometheusRules")
    stale = leftovers(files, output, data.name)
    try:
        kept = write(files, output, data.name)
    except OSError as error:
        fail(f"{error.filename or output}: {error.strerror}; nothing was changed")
    for file in files:
        console.done(str(output / file))
    if warning := example_links(data):
        console.note(warning)
    for path in stale:
        if path in kept:
            console.note(f"{path}: left over from an earlier run, but edited since: kept")
        else:
            console.done(f"{path}: removed")
