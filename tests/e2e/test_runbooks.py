"""The runbooks as pasted at night, into a shell and a Prometheus: each command and query finds what it looks for."""

from __future__ import annotations

import os
import subprocess

import pytest

from kronos_mixin.contract import load_contract, mixin_path
from proof.scene import live
from proof.servers import binaries
from proof.servers.prometheus import Prometheus
from tests.docs.blocks import blocks

BLOCKS = [block for page in sorted((mixin_path() / "runbooks").glob("K*.md")) for block in blocks(page)]
COMMANDS = [block for block in BLOCKS if block.language == "sh"]
QUERIES = [block for block in BLOCKS if block.language == "promql"]

# What only a GPU, or a fault that this service does not have, would give.
FAULTS_ONLY = (
    "kronos_device_",
    "out_of_memory",
    "== 0",
    "offset 1w",
    "unless",
    "exported_",
    '{__name__="kronos_',
    "prometheus_",
    "ray_serve_",
)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A service with failures of many kinds, its Prometheus, and its log."""
    folder = tmp_path_factory.mktemp("night")
    with live.play(binaries.newest(), folder) as scene:
        log = "".join(service.process.log.read_text() for service in scene.services)
        (folder / "service.log").write_text(log)
        (folder / "kronos-rules.yml").write_bytes((folder / "prometheus" / "kronos-rules.yml").read_bytes())
        yield scene, folder


@pytest.fixture(scope="module")
def displaced(played):
    """A Prometheus whose scrape job gives the service a label that it sets itself."""
    scene, _ = played
    target = {"targets": [f"127.0.0.1:{scene.services[-1].port}"], "labels": {"stage": "production"}}
    job = {"job_name": "kronos-api", "metrics_path": load_contract().metrics_path, "scrape_interval": "1s"}
    config = {"scrape_configs": [{**job, "scrape_timeout": "1s", "static_configs": [target]}]}
    with Prometheus(binaries.newest(), config) as server:
        server.wait_for('kronos_timeouts_total{exported_stage!=""}', timeout=30)
        yield server


@pytest.mark.parametrize("block", COMMANDS, ids=lambda block: block.where)
def test_a_command_finds_what_it_looks_for(played, displaced, block):
    scene, folder = played
    service = scene.services[-1]
    command = block.text
    for word, value in {
        "https://PUBLIC_ADDRESS": service.url,
        "INSTANCE": service.url.removeprefix("http://"),
        "PROMETHEUS": displaced.url.removeprefix("http://"),
        "PID": str(service.process.pid),
        "CLIENT": "greedy",
    }.items():
        command = command.replace(word, value)
    # The reader's own settings are not those of the instance, and must not matter.
    reader = {"PATH": f"{scene.prometheus.tools.promtool.parent}:{os.environ['PATH']}", "KRONOS_MODEL": "another"}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=reader,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{block.where}: {command}\n{done.stderr}"
    assert done.stdout.strip()
    assert "another" not in done.stdout


@pytest.mark.parametrize("block", QUERIES, ids=lambda block: block.where)
def test_a_query_finds_what_it_looks_for(played, block):
    scene, _ = played
    query = block.text.replace("rate5m", f"rate{live.WINDOW}s")
    found = scene.prometheus.query_range(query, scene.span.begin, scene.span.end, 1)
    assert found or any(words in query for words in FAULTS_ONLY), query


def test_that_there_are_some():
    assert len(COMMANDS) > 10
    assert len([block for block in QUERIES if not any(words in block.text for words in FAULTS_ONLY)]) > 30
