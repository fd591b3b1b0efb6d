"""What the rules cost and save: each group by the number of instances, and the overview over a day of history."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.console import Console

from benchmarks import results
from benchmarks.rules import evaluation, overview, slopes
from benchmarks.rules.evaluation import Groups
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import binaries
from proof.servers.binaries import Tools

OURS = "the mixin's"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the requested parts; returns the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s bench_rules --", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="evaluation, overview (default: both)")
    parser.add_argument("--instances", type=int, nargs="+", help="default: 30 100 300, and 10 100 for overview")
    parser.add_argument("--rounds", type=int, default=5, help="evaluations of each group (default: %(default)s)")
    parser.add_argument("--beside", type=Path, help="rules to measure on the same data, such as older ones")
    parser.add_argument("--hours", type=int, default=24, help="what overview looks at (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="put what evaluation measures into docs/scale.md")
    options = parser.parse_args(argv)
    wanted = options.parts or ["evaluation", "overview"]
    if unknown := set(wanted) - {"evaluation", "overview"}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    tools, console = binaries.newest(say=print), Console(highlight=False, width=118)
    if "evaluation" in wanted:
        beside = _groups(options.beside) if options.beside else None
        _evaluation(console, tools, options.instances or [30, 100, 300], options.rounds, beside, write=options.write)
    if "overview" in wanted:
        overview.run(console, tools, options.instances or [10, 100], options.hours)
    return 0


def _groups(file: Path) -> Groups:
    groups: Groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return groups


def _evaluation(
    console: Console, tools: Tools, sizes: Sequence[int], rounds: int, beside: Groups | None, *, write: bool
) -> None:
    mixin = evaluate(mixin_path())
    sets: dict[str, Groups] = {} if beside is None else {"beside": [*beside, *mixin.alerts]}
    sets[OURS] = [*mixin.rules, *mixin.alerts]
    loads = []
    for instances in sizes:
        loads.append(evaluation.measure(tools, load_contract(), sets, instances, rounds))
        console.print(f"{instances} instances are measured; load {os.getloadavg()[0]:.1f}.")
    measured = [slopes.server(loads, sets[OURS], OURS), slopes.groups(loads, sets[OURS], OURS)]
    for part in [*measured, *([slopes.sets(loads, sets)] if beside is not None else [])]:
        results.show(console, part)
    machine: dict[str, str | float] = {"cores": os.cpu_count() or 1, "load": round(os.getloadavg()[0], 1)}
    machine["Prometheus"] = tools.version
    console.print(f"Measured on: {', '.join(f'{name} {value}' for name, value in machine.items())}.")
    if write:
        for path in results.document(measured, machine, results.SCALE):
            console.print(f"Wrote {path}.")


if __name__ == "__main__":
    sys.exit(main())
