"""`nox -s bench_service`: the cost of instrumentation and traces, the size of the scrape, and minutes of overload."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from benchmarks import cardinality, cost, overload, traces


def main(argv: Sequence[str] | None = None) -> int:
    """Run the requested parts; returns the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s bench_service --", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="cost, traces, cardinality, overload (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of cost (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=3, help="length of overload (default: %(default)s)")
    options = parser.parse_args(argv)
    console = Console(highlight=False, width=110)
    parts: dict[str, Callable[[], list[str]]] = {
        "cost": lambda: cost.run(console, rounds=options.rounds, requests=4000),
        "traces": lambda: traces.run(console, rounds=options.rounds, requests=200),
        "cardinality": lambda: cardinality.run(console, requests=10_000),
        "overload": lambda: overload.run(console, minutes=options.minutes),
    }
    wanted = options.parts or list(parts)
    if unknown := set(wanted) - parts.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    console.print(f"Python {platform.python_version()}, {os.cpu_count()} cores\n")
    faults = []
    for name in wanted:
        found = parts[name]()
        faults += [f"{name}: {fault}" for fault in found]
        console.print()
    for fault in faults:
        console.print(f"[red]WRONG[/red] {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
