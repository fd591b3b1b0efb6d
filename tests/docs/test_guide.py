"""The guide and the page of curl examples: nothing in them is wrong, and what can run runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from kronos_mixin import documents, promql, series
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify.api import Api
from kronos_service.settings import PREFIX, Settings
from kronos_service.telemetry.fields import FIELDS
from proof.servers import alertmanager, binaries
from tests.docs.blocks import Block, blocks
from tests.docs.shell import Shell
from tests.service.server import ROOT, Server, environment, free_port

GUIDE = ROOT / "service" / "OBSERVABILITY.md"
CURL = ROOT / "service" / "examples" / "CURL.md"
PAGES = [GUIDE, CURL]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_the_service_brings_its_sections_of_the_guide():
    assert {"log-fields", "settings"} <= {point.name for point in entry_points(group=documents.SECTIONS)}


def queries_of(page: Path) -> list[str]:
    fenced = [block.text for block in blocks(page) if block.language == "promql"]
    return [
        re.sub(r"^#.*\n", "", query, flags=re.MULTILINE).strip() for body in fenced for query in body.split("\n\n")
    ]


def test_every_query_reads_series_that_exist():
    found = queries_of(GUIDE)
    assert len(found) > len(load_contract().metrics)
    known = series.known(evaluate(mixin_path()), load_contract())
    assert {query: problems for query in found if (problems := promql.read(query, known).problems)} == {}


def test_names_of_metrics_settings_fields_alerts_and_panels_exist():
    names = set(re.findall(r"`([^`\n]+)`", text(GUIDE)))
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    mentioned = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", text(GUIDE)))
    assert mentioned - settings == set()
    metrics = {name for name in names if re.fullmatch(r"kronos_[a-z_]+", name)} - {"kronos_service"}
    assert metrics - load_contract().metrics.keys() == set()
    alerts = {name for name in names if re.fullmatch(r"Kronos[A-Z]\w+", name)}
    assert alerts - {file.stem for file in (ROOT / "mixin" / "runbooks").glob("*.md")} == set()
    fields = {name for name in names if name.endswith("_ms")} | log_query_fields()
    assert fields - FIELDS.keys() == set()
    dashboards = [text(file) for file in (ROOT / "monitoring" / "grafana").glob("*.json")]
    panels = re.findall(r"\*\*([A-Z][^*]+)\*\*", text(GUIDE).partition("### Step 1")[2].partition("## 10.")[0])
    assert [panel for panel in panels if not any(f'"title": "{panel}' in one for one in dashboards)] == []


def log_query_fields() -> set[str]:
    """What the examples for Loki and Elasticsearch ask for."""
    found = set()
    for block in blocks(GUIDE):
        if block.language == "logql":
            found |= set(re.findall(r"\| (\w+) [=><]", block.text)) | set(re.findall(r"{{\.(\w+)}}", block.text))
            found |= set(re.findall(r"by \((\w+)\)", block.text))
        if block.language == "alloy":
            for group in re.findall(r"(?:expressions|values) = {([^}]*)}", block.text):
                found |= set(re.findall(r"(\w+) =", group))
        found |= set(re.findall(r"kronos\.(\w+) [:><]", block.text)) if block.language == "kql" else set()
    assert len(found) > 8
    return found


def test_every_yaml_block_is_yaml():
    for page in PAGES:
        for block in blocks(page):
            if block.language == "yaml":
                assert yaml.safe_load(block.text), block.where


def shell_environment(programs: Path, **settings: object) -> dict[str, str]:
    """The reader's: with the service, and `programs`, on PATH."""
    path = f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    local = {"NO_PROXY": "localhost", "no_proxy": "localhost"}
    return environment(**settings) | local | {"PATH": path, "TMPDIR": str(programs)}


def elsewhere(page: Path, addresses: Mapping[str, str]) -> list[Block]:
    """The blocks of a page, with other addresses than it says."""

    def moved(text: str) -> str:
        for there, here in addresses.items():
            text = text.replace(there, here)
        return text

    return [replace(block, text=moved(block.text)) for block in blocks(page)]


def script(file: Path, program: Path, *arguments: str) -> None:
    file.write_text(f'#!/bin/sh\nexec {shlex.quote(str(program))} "$@" {shlex.join(arguments)}\n')
    file.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which nothing was touched."""
    folder = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


def untouched(checkout: Path) -> bool:
    status = subprocess.run(
        ["git", "status", "--porcelain", "--ignored"], cwd=checkout, check=True, capture_output=True, text=True
    )
    return not status.stdout


def test_the_guide_word_by_word(checkout: Path, tmp_path: Path):
    service, prometheus = free_port("127.0.0.1"), free_port("127.0.0.1")
    tools = binaries.newest()
    # The guide's Prometheus listens where it likes, ours where there is room.
    script(tmp_path / "prometheus", tools.prometheus, f"--web.listen-address=127.0.0.1:{prometheus}")
    script(tmp_path / "promtool", tools.promtool)
    script(tmp_path / "amtool", alertmanager.every()[-1].amtool)
    steps = elsewhere(GUIDE, {"localhost:8000": f"localhost:{service}", "localhost:9090": f"localhost:{prometheus}"})
    end = next(number for number, block in enumerate(steps) if block.text.startswith("kill "))
    with Shell(checkout, shell_environment(tmp_path, port=service, drain_seconds=0)) as shell:
        shell.follow(steps[:end])
        assert examples_without_an_answer(f"http://127.0.0.1:{prometheus}") == []
        lines = shell.paste("cat service.log").splitlines()
        assert {name for line in lines if line.startswith("{") for name in json.loads(line)} <= FIELDS.keys()
        shell.follow(steps[end:])
        # What the page has started it has also stopped, or this would not end.
        shell.paste("wait")
    assert untouched(checkout)


def examples_without_an_answer(prometheus: str) -> list[str]:
    server = Api(prometheus)
    asked = [metric for metric in load_contract().metrics.values() if metric.when != "gpu"]
    empty = [metric.name for metric in asked if not server.query(metric.example.query)]
    server.close()
    return empty


def test_the_curl_examples(checkout: Path, tmp_path: Path, server: Server):
    with Shell(checkout, shell_environment(tmp_path)) as shell:
        shell.follow(elsewhere(CURL, {"localhost:8000": server.url.removeprefix("http://")}))
    assert untouched(checkout)


def test_a_bare_wait_waits_for_what_the_page_has_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Shell(tmp_path, shell_environment(tmp_path)) as shell:
        shell.paste("sleep 600 & jobs %1")  # which needs job control
        monkeypatch.setattr("tests.docs.shell._BLOCK_SECONDS", 1)
        with pytest.raises(AssertionError, match="does not end"):
            shell.paste("true &\nwait")
