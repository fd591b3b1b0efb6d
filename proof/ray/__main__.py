"""`nox -s ray`: the service behind Ray Serve on two nodes, when things go wrong: what is lost, and who counts it."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import ray

from kronos_mixin.documents import fill
from kronos_mixin.documents.reference import table
from kronos_mixin.verify.api import WaitError
from proof.ray.bench import Bench, Result, Wrong, prometheus_of
from proof.ray.nodes import Nodes
from proof.ray.scenarios import REPLICAS, SCENARIOS
from proof.servers.binaries import Tools, newest
from proof.servers.debian import Missing
from proof.servers.process import ProcessError

_DOCUMENT = Path(__file__).parents[2] / "docs" / "ray.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Play the scenarios one after another; returns the exit code."""
    names = [scenario.__name__ for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="nox -s ray --", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into docs/ray.md")
    parser.add_argument("--only", action="append", choices=names, help="play only this one; may be repeated")
    options = parser.parse_args(argv)
    # So that the cluster ends with us.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        tools = newest(say=_say)
        results = _play(options.only or names, tools)
    except (Missing, ProcessError, WaitError, Wrong) as error:
        print(error, file=sys.stderr)
        return 1
    text = table(
        ["what happened", "requests", "not answered by the service", "answered, but never scraped"], _rows(results)
    )
    text += f"\n\nRay {ray.__version__}, Prometheus {tools.version}, {REPLICAS} replicas on two nodes."
    _say(text)
    if options.write:
        page = _DOCUMENT.read_text(encoding="utf-8")
        _DOCUMENT.write_text(fill(page, {"ray": lambda _: text}), encoding="utf-8")
    return 0


def _play(names: Iterable[str], tools: Tools) -> list[Result]:
    results: list[Result] = []
    start = time.monotonic()
    # The nodes first: all that runs later is in the network of the head.
    with (
        Nodes() as nodes,
        tempfile.TemporaryDirectory() as folder,
        prometheus_of(Path(folder), tools, nodes) as prometheus,
    ):
        _say(f"two nodes: {time.monotonic() - start:.0f} s")
        bench = Bench(nodes, prometheus)
        bench.deploy(num_replicas=REPLICAS)
        bench.until_running(REPLICAS)
        _say(f"{REPLICAS} replicas: {time.monotonic() - start:.0f} s")
        for scenario in SCENARIOS:
            if scenario.__name__ in names:
                scenario(bench, results)
                _say(f"{scenario.__name__}: {time.monotonic() - start:.0f} s")
    return results


def _rows(results: Iterable[Result]) -> Iterable[list[str]]:
    for result in results:
        yield [result.name, str(result.sent), _words(result.lost + result.refused), str(result.uncounted)]


def _words(lost: Counter[str]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(lost.items()))
    return kinds or "0"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
