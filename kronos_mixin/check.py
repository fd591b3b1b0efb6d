"""Finds what is wrong with the mixin before a Prometheus, a Grafana or somebody on call has to."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from kronos_mixin import alerts, dashboards, expressions, linter, runbooks, series
from kronos_mixin.compile import leftovers
from kronos_mixin.contract import Contract, mixin_path
from kronos_mixin.finding import Finding
from kronos_mixin.jsonnet import Mixin, evaluate

__all__ = ["Finding", "check", "drift", "promtool"]


def check(
    mixin: Mixin, contract: Contract, files: Mapping[str, str], output: Path, folder: Path | None = None
) -> list[Finding]:
    """Every finding, in the order of the files.

    ``files`` is what the mixin compiles to today, ``output`` where the committed files lie, ``folder`` that
    of the mixin itself, with its runbooks (None: the one that is installed).
    """
    folder = folder or mixin_path()
    known = series.known(mixin, contract)
    read = expressions.all_of(mixin, known)
    findings = [
        *drift(files, output),
        *expressions.check(mixin, read),
        *alerts.check(mixin, read),
        *dashboards.check(mixin, read),
        *linter.check(mixin, contract, read),
        # Runbooks are written for the mixin as it is: another window in a name is no fault of theirs.
        *runbooks.check(mixin, series.known(_as_it_is(folder), contract), folder / "runbooks"),
        *promtool(output),
    ]
    order = {file: place for place, file in enumerate(files)}
    return sorted(findings, key=lambda finding: order.get(finding.file, len(order)))


@functools.cache
def _as_it_is(folder: Path) -> Mixin:
    """The mixin without anybody's configuration laid over it."""
    return evaluate(folder)


def drift(files: Mapping[str, str], output: Path, name: str = "kronos") -> Iterator[Finding]:
    """Committed files that are not what the mixin ``name`` compiles to."""
    remedy = "run `python build.py compile`"
    for file, text in files.items():
        path = output / file
        if not path.is_file():
            yield Finding(file, "", f"is missing in {output}: {remedy}")
        elif path.read_bytes() != text.encode():
            yield Finding(file, "", f"is not what the mixin compiles to: {remedy}, and commit the result")
    for path in leftovers(files, output, name):
        yield Finding(str(path.relative_to(output)), "", f"is not made by the mixin any more: {remedy}")


def promtool(output: Path) -> Iterator[Finding]:
    """What promtool says about the rule files; nothing where promtool is not on PATH."""
    program = shutil.which("promtool")
    if program is None:
        return
    for path in sorted((output / "prometheus").glob("kronos-*.yml")):
        done = subprocess.run([program, "check", "rules", str(path)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            yield Finding(str(path.relative_to(output)), "promtool", (done.stderr or done.stdout).strip())
