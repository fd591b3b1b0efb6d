"""How long a mixin's author waits: from a save to the compiled file, to the drawn dashboard, and to the error.

`kronos-mixin compile --watch` and `kronos-mixin serve` run on a copy of the Kronos mixin, over a day of made-up
history in a real Prometheus, in a headless Chromium. Prints the times, and the CPU time beside them: on a busy
machine, trust that. The page is built if it is not; Node and Chromium must be on PATH, or say `--without-browser`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from kronos_mixin.contract import mixin_path
from kronos_mixin.drill.story import END
from kronos_mixin.serve.app import build
from proof.pictures.browser import Browser
from proof.scene import backfill
from proof.servers import binaries
from proof.servers.process import Process, free_port

BOARD = "dashboards/overview.libsonnet"
TITLE = "title: 'Kronos / Overview"
HOURS = 12


class Author:
    """Somebody who saves a mixin again and again, each time with another title of the overview."""

    def __init__(self, mixin: Path) -> None:
        self.file = mixin / BOARD
        self.text = self.file.read_text(encoding="utf-8")
        if TITLE not in self.text:
            raise ValueError(f"{self.file} has no {TITLE!r}")
        self.saves = 0

    def save(self) -> str:
        """Save it with a new title; returns what is new in it."""
        self.saves += 1
        mark = f"save {self.saves}"
        self.write(self.text.replace(TITLE, f"{TITLE} {mark}"))
        return mark

    def write(self, text: str) -> None:
        """Replace the file at once, as editors do."""
        new = self.file.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(self.file)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="nox -s bench_live --", description=__doc__)
    parser.add_argument("--saves", type=int, default=10, help="how often each is measured")
    parser.add_argument("--without-browser", action="store_true", help="measure compile --watch alone")
    options = parser.parse_args(argv)
    table = Table("from a save to", "median s", "slowest s", "CPU s of the tool", title=f"{options.saves} saves")
    with tempfile.TemporaryDirectory(prefix="kronos-live-") as folder:
        work = Path(folder)
        shutil.copytree(mixin_path(), work / "mixin")
        _watch(Author(work / "mixin"), work, options.saves, table)
        if not options.without_browser:
            _serve(Author(work / "mixin"), work, options.saves, table)
    Console().print(table, f"Load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


def _watch(author: Author, work: Path, saves: int, table: Table) -> None:
    compiled = work / "monitoring/grafana/kronos-dashboard.json"
    argv = [sys.executable, "-m", "kronos_mixin", "compile", "--watch", "--mixin", "mixin"]
    with Process(argv, cwd=work, log=work / "watch.log", name="compile --watch") as process:
        _until(lambda: "watching" in process.tail(), process)

        def one() -> None:
            mark = author.save()
            _until(lambda: mark in compiled.read_text(encoding="utf-8"), process)

        _measure("the written file", one, process, saves, table)


def _serve(author: Author, work: Path, saves: int, table: Table) -> None:
    page = build(print)
    tools = binaries.newest(say=print)
    (work / "history").mkdir()
    backfill.fill(tools, backfill.compile_for_history(), work / "history")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [
        sys.executable,
        "-m",
        "kronos_mixin",
        "serve",
        "--mixin",
        "mixin",
        "--app",
        str(page),
        "--port",
        str(port),
    ]
    with (
        backfill.serve(tools, work / "history/data") as prometheus,
        Process([*argv, "--prometheus", prometheus.url], cwd=work, log=work / "serve.log", name="serve") as process,
        Browser() as browser,
    ):
        process.wait_http(f"{url}/settings.json")
        browser.open(f"{url}/d/kronos-overview?from={(END - HOURS * 3600) * 1000:.0f}&to={END * 1000:.0f}")
        drawn = "window.dashboard && window.dashboard.settled()"
        browser.wait_for(drawn)

        def redraw() -> None:
            browser.wait_for(f"document.title.includes('{author.save()}') && {drawn}")

        def fail() -> None:
            author.write("oops(")
            browser.wait_for("document.querySelector('[data-wrong]')")

        def recover() -> None:
            browser.wait_for(f"document.title.includes('{author.save()}') && !document.querySelector('[data-wrong]')")

        _measure("the drawn dashboard", redraw, process, saves, table)
        for _ in range(2):  # The error must leave the page as it was, and go.
            _measure("the error on the page", fail, process, 1, table)
            recover()


def _measure(what: str, one: Callable[[], None], process: Process, times: int, table: Table) -> None:
    taken = []
    before = _cpu(process)
    for _ in range(times):
        start = time.monotonic()
        one()
        taken.append(time.monotonic() - start)
    cpu = (_cpu(process) - before) / times
    table.add_row(what, f"{statistics.median(taken):.2f}", f"{max(taken):.2f}", f"{cpu:.2f}")


def _cpu(process: Process) -> float:
    spent = psutil.Process(process.pid).cpu_times()
    return float(spent.user + spent.system)


def _until(condition: Callable[[], bool], process: Process) -> None:
    while not condition():
        process.check()
        time.sleep(0.002)


if __name__ == "__main__":
    sys.exit(main())
