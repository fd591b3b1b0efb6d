"""The command compile."""

from __future__ import annotations

from typing import Annotated

import typer

from kronos_mixin.cli.groups import grouped
from kronos_mixin.cli.options import DEFAULT_OUTPUT, Metadata, OutputOption, Source
from kronos_mixin.cli.say import Say, fail
from kronos_mixin.compile import Target, leftovers, render, targets_in, write
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
            "repeated. Default: plain, and whatever was compiled into the folder before.",
        ),
    ] = None,
    *,
    metadata: Metadata,
    speak: Say,
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
    data = source.evaluate(speak)
    targets = set(target or []) or {Target.plain} | targets_in(output, data.name)
    try:
        files = render(data, targets, labels=metadata.labels, namespace=metadata.namespace)
    except CompileError as error:
        fail(str(error))
    if not files:
        fail(f"{source.path}: holds nothing to write: no grafanaDashboards, prometheusAlerts or prometheusRules")
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
