"""The demo, as a newcomer runs it, until Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from statistics import correlation

import psutil
import pytest

from proof.servers.process import Process, free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What it wrote, the processes that it ran, and the folder of its temporary files, after it was interrupted."""
    folder, temporary = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("temporary")
    environment = {**os.environ, "TMPDIR": str(temporary), "COLUMNS": "200"}
    argv = [sys.executable, "-u", "-m", "proof.demo", "--port", str(free_port())]
    with Process(argv, env=environment, cwd=ROOT, log=folder / "output", name="The demo") as process:
        deadline = time.monotonic() + 300
        while "Ctrl-C stops everything" not in process.tail(1):
            process.check()
            assert time.monotonic() < deadline, process.log.read_text()
            time.sleep(0.2)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    return process.log.read_text(), children, temporary


def test_an_alert_fires_and_resolves(demo):
    story = re.compile(
        r"The service is killed.*is pending.*is firing.*critical: .*started again.*has resolved", re.DOTALL
    )
    assert story.search(demo[0]), demo[0]


def test_the_forecast_is_shown_and_put_into_its_place(demo):
    rows = re.findall(r"^ *\d\d-\d\d \d\d:00 +([\d.]+) +([\d.]+) +([\d.]+) .*●", demo[0], re.MULTILINE)
    assert len(rows) == 12
    _, forecast, came = zip(*[map(float, row) for row in rows], strict=True)
    assert correlation(forecast, came) > 0.7
    assert "knows nothing of markets" in " ".join(demo[0].split())


def test_it_fits_80_columns(demo):
    assert [line for line in demo[0].splitlines() if len(line) > 80] == []
    assert "…" not in demo[0]


def test_every_panel_of_the_overview_has_a_value(demo):
    assert re.search(r"p99 single +[\d.]+ m?s\b", demo[0])
    assert re.search(r"success +[\d.]+ req/", demo[0])
    assert "No requests yet" not in demo[0]


def test_ctrl_c_leaves_nothing(demo):
    output, children, temporary = demo
    assert output.endswith("Stopped.\n")
    assert len(children) >= 2
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert list(temporary.iterdir()) == []
