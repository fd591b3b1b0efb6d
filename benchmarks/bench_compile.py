"""What it costs to compile a mixin, ours and a large one like those on Grafonnet, with both engines in turns.

CPU seconds, the least of several rounds, each in a process of its own. `--mixin PATH` measures another mixin as well,
such as one that was vendored with its libraries.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rich.console import Console

from benchmarks import large_mixin, results
from benchmarks.results import Part, Row
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import name_of
from kronos_mixin.jsonnet.engines import Choice

ENGINES = (Choice.CPP, Choice.GO)
_EVALUATE = """
import sys, time
from pathlib import Path
from kronos_mixin.jsonnet.engines import Choice
from kronos_mixin.jsonnet import evaluate
start = time.process_time()
evaluate(Path(sys.argv[1]), choice=Choice(sys.argv[2]))
print(time.process_time() - start)
"""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of the evaluation and of the whole command, and the most memory that the command took (MiB)."""

    evaluation: float
    command: float
    memory: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s bench_compile --", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--mixin", type=Path, action="append", default=[], help="another mixin; may be repeated")
    parser.add_argument("--write", action="store_true", help="put the results into docs/performance.md")
    options = parser.parse_args(argv)
    console = Console(highlight=False, width=118)
    with tempfile.TemporaryDirectory(prefix="kronos-bench-") as folder:
        (made := Path(folder) / "made-up").mkdir()
        mixins = {"ours": mixin_path(), "made up, 20 dashboards": large_mixin.write(made)}
        mixins |= {name_of(path): path for path in options.mixin}
        rows = [row for name, mixin in mixins.items() for row in _rows(name, _least(mixin, options.rounds))]
    part = Part("compile", "CPU seconds, and the memory of the command:", rows)
    results.show(console, part)
    machine = _machine()
    console.print(f"Measured on: {', '.join(f'{name} {value}' for name, value in machine.items())}.")
    if options.write:
        for path in results.document([part], machine):
            console.print(f"Wrote {path}.")
    return 0


def _least(mixin: Path, rounds: int) -> Mapping[Choice, Cost]:
    costs: dict[Choice, list[Cost]] = {engine: [] for engine in ENGINES}
    for _ in range(rounds):
        for engine in ENGINES:
            costs[engine].append(_cost(mixin, engine))
    return {
        engine: Cost(*(min(getattr(one, name) for one in found) for name in ("evaluation", "command", "memory")))
        for engine, found in costs.items()
    }


def _cost(mixin: Path, engine: Choice) -> Cost:
    arguments = [str(mixin), str(engine)]
    said = subprocess.run([sys.executable, "-c", _EVALUATE, *arguments], capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory(prefix="kronos-bench-") as output:
        command = [sys.executable, "-m", "kronos_mixin", "compile", "--quiet", "--output", output]
        process = subprocess.Popen([*command, "--mixin", str(mixin), "--engine", str(engine)])
        _, status, used = os.wait4(process.pid, 0)
    if process.returncode or status:
        raise RuntimeError(f"{mixin} could not be compiled with {engine}")
    return Cost(float(said.stdout), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _rows(name: str, costs: Mapping[Choice, Cost]) -> list[Row]:
    slow = costs[Choice.CPP]
    return [
        {
            "mixin": name,
            "engine": str(engine),
            "evaluation, s": cost.evaluation,
            "times faster": slow.evaluation / cost.evaluation,
            "command, s": cost.command,
            "MiB": cost.memory,
        }
        for engine, cost in costs.items()
    ]


def _machine() -> Mapping[str, str | float]:
    return {
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 1),
        "Python": platform.python_version(),
        "jsonnet": metadata.version("jsonnet"),
        "gojsonnet": metadata.version("gojsonnet"),
    }


if __name__ == "__main__":
    sys.exit(main())
