"""`nox -s bench_forecast`: the forecaster beside the reference and the machine, and the service under clients."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from benchmarks import results
from benchmarks.forecast import chart, checkpoints, clients, floors, ratio
from benchmarks.forecast.cases import Case
from benchmarks.forecast.checkpoints import CONTEXT, SIZES, Reference
from benchmarks.forecast.floors import Floors
from benchmarks.results import Part, Row
from kronos_service.forecaster import Checkpoint, forecast, load_checkpoint

_COSTS = [
    *(Case(size, history, 24) for size in ("mini", "small") for history in (50, 100, 200, 300, 400, 480)),
    *(Case(size, 400, horizon) for size in ("mini", "small") for horizon in (1, 6, 12, 48, 96, 108)),
]
_LOADS = (Case("mini", 100, 12), Case("small", 400, 24))
_CLIENTS = (1, 8, 32)
_SHORT, _LONG, _LONG_CLIENTS = Case("small", 100, 12), Case("small", 400, 108), 8


def main(argv: Sequence[str] | None = None) -> int:
    """Run the requested parts; returns the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s bench_forecast --", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="speed, cost, clients or beside (default: all)")
    parser.add_argument("--sizes", default=",".join(SIZES), help="models of speed, by commas (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of speed and cost (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument("--write", action="store_true", help="put the results into docs/performance.md")
    options = parser.parse_args(argv)
    console = Console(highlight=False, width=118)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="kronos-bench-") as folder:
        bench = _Bench(console, Path(folder), options.rounds, options.sizes.split(","))
        parts: dict[str, Callable[[], Part]] = {
            "speed": bench.speed,
            "cost": bench.cost,
            "clients": bench.clients,
            "beside": bench.beside,
        }
        wanted = options.parts or list(parts)
        if unknown := set(wanted) - parts.keys():
            parser.error(f"no such part: {', '.join(sorted(unknown))}")
        measured = []
        for name in wanted:
            measured.append(parts[name]())
            results.show(console, measured[-1])
    machine = _machine(bench.floors)
    if options.json:
        results.save(measured, machine, options.json)
    if options.write:
        for path in [*results.document(measured, machine), chart.draw()]:
            console.print(f"Wrote {path}.")
    return 0


class _Bench:
    """The parts, and what they share."""

    def __init__(self, console: Console, folder: Path, rounds: int, sizes: Sequence[str]) -> None:
        self._console = console
        self._folder = folder
        self._rounds = rounds
        self._sizes = sizes
        self._references: dict[str, Reference] = {}
        self._checkpoints: dict[str, Checkpoint] = {}
        self._reference_seconds: dict[Case, float] = {}
        self.floors: Floors = floors.measure()

    def speed(self) -> Part:
        """Each case of the targets beside the reference."""
        rows: list[Row] = []
        for case, target in ratio.TARGETS.items():
            if case.size not in self._sizes:
                continue
            self._say(str(case))
            found = ratio.measure(case, self._reference(case.size), self._checkpoint(case.size), self._rounds)
            self._reference_seconds[case] = found.reference
            floor = self.floors.seconds(case)
            rows.append(
                {
                    "case": str(case),
                    "reference, s": found.reference,
                    "ours, s": found.ours,
                    "times": found.times,
                    "target": target,
                    "floor, s": floor,
                    "of the floor's speed": floor / found.ours,
                    "same": found.same,
                }
            )
        return Part("speed", "CPU seconds of one forecast, history/horizon in candles, one thread:", rows)

    def cost(self) -> Part:
        """One series, by history and horizon."""
        rows: list[Row] = []
        for case in _COSTS:
            if case.size not in self._sizes:
                continue
            self._say(str(case))
            checkpoint = self._checkpoint(case.size)
            seconds = min(_cpu_seconds(checkpoint, case, seed) for seed in range(self._rounds))
            rows.append(
                {
                    "model": case.size,
                    "history": case.history,
                    "horizon": case.horizon,
                    "CPU s": seconds,
                    "ms per candle": 1000 * seconds / case.horizon,
                    "cache, MiB": checkpoint.position_bytes * (case.history + case.horizon) / 2**20,
                }
            )
        return Part("cost", "CPU of one series, one thread:", rows)

    def clients(self) -> Part:
        """The service under 1, 8 and 32 clients."""
        rows: list[Row] = []
        for case in _LOADS:
            reference = self._reference(case.size)
            alone = self._reference_seconds.get(case)
            if alone is None:
                alone = ratio.measure(case, reference, self._checkpoint(case.size), 1).reference
            with clients.serving(reference) as service:
                for count in _CLIENTS:
                    self._say(f"{case}, {count} clients")
                    load = clients.measure(service, case, count)
                    rows.append(
                        {
                            "case": str(case),
                            "clients": count,
                            "series per CPU s": load.per_cpu_second,
                            "times the reference": alone * load.per_cpu_second,
                            "p50, s": load.p50,
                            "p95, s": load.p95,
                            "memory, MiB": load.memory,
                        }
                    )
        return Part("clients", "The service over HTTP, each client with one request after another:", rows)

    def beside(self) -> Part:
        """A short request beside long ones."""
        self._say(f"{_SHORT} beside {_LONG_CLIENTS} times {_LONG}")
        with clients.serving(self._reference(_SHORT.size)) as service:
            found = clients.beside(service, _SHORT, _LONG, _LONG_CLIENTS)
        row: Row = {
            "case": str(_SHORT),
            "p95 alone, s": found.alone,
            f"p95 beside {_LONG_CLIENTS} of {_LONG}, s": found.beside,
            "times": found.beside / found.alone,
        }
        return Part("beside", "A short request of one caller beside long ones of another:", [row])

    def _say(self, what: str) -> None:
        self._console.print(f"[dim]{time.process_time():6.0f} s CPU  {what}")

    def _reference(self, size: str) -> Reference:
        if size not in self._references:
            self._references[size] = checkpoints.build(self._folder / size, size)
        return self._references[size]

    def _checkpoint(self, size: str) -> Checkpoint:
        if size not in self._checkpoints:
            reference = self._reference(size)
            checkpoint = load_checkpoint(
                str(reference.model_folder), str(reference.tokenizer_folder), max_context=CONTEXT
            )
            # The first forecast of each kind pays for what is set up once.
            ratio.measure(Case(size, 20, 2), reference, checkpoint, 1)
            self._checkpoints[size] = checkpoint
        return self._checkpoints[size]


def _cpu_seconds(checkpoint: Checkpoint, case: Case, seed: int) -> float:
    series = case.series(seed)
    start = time.process_time()
    forecast(checkpoint, series)
    return time.process_time() - start


def _machine(found: Floors) -> dict[str, str | float]:
    speeds = {f"GiB/s from {mib} MiB": round(speed, 1) for mib, speed in found.gibs.items()}
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[1], 1),
        "Python": platform.python_version(),
        "PyTorch": str(torch.__version__),
        "GFLOP/s of a core": round(found.gflops),
        **speeds,
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
