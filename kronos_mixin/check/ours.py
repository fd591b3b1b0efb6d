"""Checks of the Kronos mixin: all that can be told of one whose metrics are known."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kronos_mixin import documents
from kronos_mixin.check import alerts, compiled, dashboards, expressions, linter, runbooks, series
from kronos_mixin.check.expressions import Expression
from kronos_mixin.check.finding import Finding
from kronos_mixin.contract import Contract, mixin_path
from kronos_mixin.jsonnet import Mixin, evaluate


def check(
    mixin: Mixin,
    contract: Contract,
    files: Mapping[str, str],
    output: Path,
    folder: Path | None = None,
    compile_command: str = "kronos-mixin compile",
) -> list[Finding]:
    """Every finding, in the order of the files.

    ``files`` is what the mixin compiles to today, ``output`` where the committed files lie, ``folder`` that
    of the mixin itself, with its runbooks (None: the one that is installed), ``compile_command`` what writes them.
    """
    folder = folder or mixin_path()
    known = series.known(mixin, contract)
    read = expressions.all_of(mixin, known)
    findings = [
        *compiled.drift(files, output, mixin.name, compile_command),
        *_stale(folder),
        *_unread(contract, read),
        *expressions.check(mixin, read),
        *alerts.check(mixin, read),
        *dashboards.check(mixin, read),
        *linter.check(mixin, contract, read),
        # Runbooks are written for the mixin as it is: another window in a name is no fault of theirs.
        *runbooks.check(mixin, series.known(_as_it_is(folder), contract), folder / "runbooks"),
        *compiled.refused_rules(mixin),
    ]
    order = {file: place for place, file in enumerate(files)}
    return sorted(findings, key=lambda finding: order.get(finding.file, len(order)))


def _stale(folder: Path) -> Iterator[Finding]:
    """Documents that do not quote the mixin and its contract as they are."""
    try:
        for path in documents.stale(folder, _as_it_is(folder)):
            place = path.relative_to(folder.parent).as_posix()
            yield Finding(place, "", "is not up to date: run `python build.py generate`, and commit the result")
    except documents.DocumentError as error:
        yield Finding("documents", "", str(error))


def _unread(contract: Contract, read: Iterable[Expression]) -> Iterator[Finding]:
    """Metrics that the service counts for nobody."""
    used = set().union(*(one.reading.series for one in read))
    for name in contract.metrics:
        if used.isdisjoint(contract.exposed_series(name)):
            yield Finding("metrics.json", name, "is read by no rule, alert or panel")


@functools.cache
def _as_it_is(folder: Path) -> Mixin:
    """The mixin without anybody's configuration laid over it."""
    return evaluate(folder)
