"""Checks the Kronos mixin, whose metrics are known from its contract."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kronos_mixin import documents, promql, series
from kronos_mixin.check import alerts, compiled, dashboards, expressions, linter, runbooks, waivers
from kronos_mixin.check.expressions import Expression
from kronos_mixin.check.finding import Finding
from kronos_mixin.commands import command
from kronos_mixin.contract import Contract, mixin_path
from kronos_mixin.jsonnet import Mixin, evaluate
from kronos_mixin.series import Known

MOST_RULES = 20
"""What Mimir takes in one group unless its `ruler_max_rules_per_rule_group` is raised."""


def check(
    mixin: Mixin,
    contract: Contract,
    files: Mapping[str, str],
    output: Path,
    folder: Path | None = None,
    *,
    configured: bool = True,
    compile_command: str = "kronos-mixin compile",
) -> list[Finding]:
    """Return all findings, in the order of the files.

    ``compile_command`` compiles the mixin to ``files``, which are compared with the folder ``output``. ``folder`` is
    that of the mixin and its runbooks; None: the installed one. ``configured``: the mixin may differ from its
    defaults.
    """
    folder = folder or mixin_path()
    # Runbooks and documents describe the defaults, so compare them with those, not with a user's windows.
    default = _defaults(folder) if configured else mixin
    known, known_by_default = series.known(mixin, contract), series.known(default, contract)
    read = expressions.all_of(mixin, known)
    findings = [
        *compiled.drift(files, output, mixin.name, compile_command),
        *_stale(folder, default),
        *(() if mixin.config["shard"] else _unread(contract, read)),
        *_examples(contract, known_by_default),
        *expressions.check(mixin, read),
        *alerts.check(mixin, read),
        *dashboards.check(mixin, read),
        *linter.check(mixin, contract, read, waivers.waivers(folder)),
        *runbooks.check(mixin, known_by_default, folder / "runbooks"),
        *_large_groups(mixin),
        *compiled.refused_rules(mixin),
    ]
    order = {file: place for place, file in enumerate(files)}
    return sorted(findings, key=lambda finding: order.get(finding.file, len(order)))


def _stale(folder: Path, default: Mixin) -> Iterator[Finding]:
    """Documents whose generated sections are out of date."""
    try:
        for path in documents.stale(folder, default):
            place = path.relative_to(folder.parent).as_posix()
            yield Finding(place, "", f"is not up to date: run `{command('generate')}`, and commit the result")
    except documents.DocumentError as error:
        yield Finding("documents", "", str(error))


def _large_groups(mixin: Mixin) -> Iterator[Finding]:
    """Groups that a ruler of Mimir refuses. Those of the mixin are split; yours may not be."""
    for name, groups in (("rules", mixin.rules), ("alerts", mixin.alerts), ("central", mixin.central)):
        for group in groups:
            if (count := len(group["rules"])) > MOST_RULES:
                sentence = f"has {count} rules, but Mimir takes at most {MOST_RULES} in a group: split it"
                yield Finding(f"prometheus/kronos-{name}.yml", f"group {group['name']}", sentence)


def _unread(contract: Contract, read: Iterable[Expression]) -> Iterator[Finding]:
    """Metrics that nothing reads."""
    selectors = [selector for one in read for selector in one.reading.selectors]
    # KronosLabelsTaken looks for labels that are not the metric's own, at any value.
    used = {one.name for one in selectors if not any(m.label.startswith("exported_") for m in one.matchers)}
    for name in contract.metrics:
        if used.isdisjoint([name, *contract.exposed_series(name)]):
            yield Finding("metrics.json", name, "is read by no rule, alert or panel")


def _examples(contract: Contract, known: Known) -> Iterator[Finding]:
    """What is wrong with the queries that the contract shows."""
    for metric in contract.metrics.values():
        for problem in promql.read(metric.example.query, known).problems:
            yield Finding("metrics.json", f"{metric.name}: its example", problem)


@functools.cache
def _defaults(folder: Path) -> Mixin:
    """The mixin without a user's configuration."""
    return evaluate(folder)
