"""What programs get to read: one object from each command, whether it succeeds or fails."""

from __future__ import annotations

import json
import shutil

import pytest

from kronos_mixin.__main__ import COMMANDS
from kronos_mixin.cli import generate as generating
from kronos_mixin.contract import mixin_path
from proof.servers import binaries
from proof.servers.prometheus import Prometheus

JSON = ("--format", "json")


@pytest.fixture
def ask(call):
    """Calls a command for its object."""

    def ask(*arguments, code=0):
        done = call(*arguments, *JSON, code=code)
        (line,) = done.stdout.splitlines()
        data = json.loads(line)
        assert list(data)[:3] == ["ok", "error", "notes"]
        assert data["ok"] == (code == 0)
        for note in [*data["notes"], *filter(None, [data["error"]])]:
            assert note in done.stderr
        return data

    return ask


@pytest.fixture
def lamp(fixtures):
    return ("--mixin", fixtures / "lamp-mixin")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "prometheus.yml"
    path.write_text("scrape_configs:\n  - job_name: itself\n")
    return path


def verbs(data):
    return {file["path"]: file["verb"] for file in data["files"]}


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "serve"])
def test_a_bad_command_line(ask, command):
    assert ask(command, "--nonsense", code=2) == {"ok": False, "error": "No such option: --nonsense", "notes": []}


FAILING = {
    "compile --mixin none": "none: there is no such file or folder",
    "check --mixin none": "none: there is no such file or folder",
    "generate --output file": "Not a directory",
    "merge none.yml": "none.yml: No such file or directory",
    "unmerge none.yml": "none.yml: No such file or directory",
    "install": "jsonnetfile.json: is not there",
    "update": "jsonnetfile.json: is not there",
    "vendor . --check": "jsonnetfile.json: has no kronos-mixin",
    "diff --grafana http://localhost:1 --mixin none": "none: there is no such file or folder",
    "push --grafana http://localhost:1 --mixin none": "none: there is no such file or folder",
    "verify --prometheus http://localhost:1 --merged none.yml": "none.yml: No such file or directory",
    "drill none.yml --prometheus http://localhost:1": "none.yml: No such file or directory",
}


def test_each_failure_is_known():
    assert {line.split()[0] for line in FAILING} == COMMANDS.keys() - {"serve"}


@pytest.mark.parametrize("line", FAILING)
def test_a_failure(ask, tmp_path, line):
    (tmp_path / "file").touch()
    data = ask(*line.split(), code=1)
    assert FAILING[line] in data["error"]
    assert list(data) == ["ok", "error", "notes"]


def test_compile(ask, lamp, tmp_path):
    shutil.copytree(lamp[1], tmp_path / "lamp-mixin")
    mine = ("--mixin", "lamp-mixin")
    data = ask("compile", *mine)
    assert data["mixin"] == "lamp"
    assert set(verbs(data).values()) == {"add"}
    assert all((tmp_path / path).is_file() for path in verbs(data))

    rules, alerts = (f"monitoring/prometheus/lamp-{kind}.yml" for kind in ("rules", "alerts"))
    boards = dict.fromkeys(verbs(data).keys() - {rules, alerts}, "same")
    (tmp_path / rules).write_text("# mine\n")
    assert verbs(ask("compile", *mine)) == {rules: "change", alerts: "same", **boards}

    with (tmp_path / "lamp-mixin/mixin.libsonnet").open("a") as mixin:
        mixin.write("+ { prometheusRules:: {}, prometheusAlerts:: {} }\n")
    (tmp_path / rules).write_text("# mine\n")
    data = ask("compile", *mine)
    assert verbs(data) == {rules: "keep", alerts: "remove", **boards}
    assert data["notes"] == [f"{rules}: left over from an earlier run, but edited since: kept"]
    assert not (tmp_path / alerts).exists()


def test_merge_and_unmerge(ask, lamp, config, tmp_path):
    rules, alerts = (str(tmp_path / f"kronos-mixin/lamp-{kind}.yml") for kind in ("rules", "alerts"))
    before, arguments = config.read_text(), (config, *lamp, "--job", "lamp", "--target", "localhost:1")
    data = ask("merge", *arguments, "--dry-run")
    assert (data["config"], data["mixin"], data["done"]) == (str(config), "lamp", False)
    assert verbs(data) == {str(config): "change", rules: "add", alerts: "add"}
    assert (data["groups"], data["jobs"]) == (["lamp-rules", "lamp-alerts"], ["lamp"])
    assert "+  - job_name: lamp" in data["diff"]
    assert "promtool is not on PATH: only the syntax was checked" in data["notes"]

    assert "There is no one to ask: add --yes or --dry-run." in ask("merge", *arguments, code=1)["error"]
    assert config.read_text() == before

    done = ask("merge", *arguments, "--yes")
    assert (done["done"], done["reloaded"]) == (True, [])
    assert (tmp_path / done["backup"]).read_text() == before
    assert verbs(done) == verbs(data)

    again = ask("merge", *arguments, "--yes")
    assert (again["done"], again["backup"], again["diff"]) == (False, None, [])
    assert set(verbs(again).values()) == {"same"}

    gone = ask("unmerge", config, "--name", "lamp", "--yes")
    assert verbs(gone) == {str(config): "change", rules: "remove", alerts: "remove"}
    assert gone["done"]
    assert config.read_text() == before


def test_what_a_server_runs_after_a_merge(ask, lamp, config, tmp_path):
    """The second configuration is not the one that the server was started with."""
    with Prometheus(binaries.newest(), config) as prometheus:
        merge = (*lamp, "--job", "lamp", "--yes", "--reload", prometheus.url, "--target")
        assert ask("merge", config, *merge, "localhost:1")["reloaded"] == [{"server": prometheus.url, "wrong": []}]
        shutil.copy(config, other := tmp_path / "other.yml")
        data = ask("merge", other, *merge, "localhost:2", code=1)
        (asked,) = data["reloaded"]
        assert asked["server"] == prometheus.url
        assert asked["wrong"]
        assert all(wrong in data["error"] for wrong in asked["wrong"])
        assert data["done"]
    assert "was put back" in ask("merge", config, *merge, "localhost:2", code=1)["error"]


def test_generate(ask, tmp_path, monkeypatch):
    """In a checkout of its own."""
    root = mixin_path().parent
    for folder in ("mixin", "docs"):
        shutil.copytree(root / folder, tmp_path / folder)
    (tmp_path / "service").mkdir()
    shutil.copy(root / "service/OBSERVABILITY.md", tmp_path / "service")
    monkeypatch.setattr(generating, "mixin_path", lambda: tmp_path / "mixin")
    (tmp_path / "mixin/CONFIG.md").write_text("stale")
    data = ask("generate")
    assert verbs(data).pop("mixin/CONFIG.md") == "change"
    assert verbs(data)["monitoring/prometheus/kronos-rules.yml"] == "add"
    assert set(verbs(ask("generate")).values()) == {"same"}
