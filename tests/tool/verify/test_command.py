"""`kronos-mixin verify`, as a user calls it: what it prints, and its exit codes."""

from __future__ import annotations

import json
import time

import pytest
import yaml

from kronos_mixin.compile import render, write
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify.check import State
from proof.servers import binaries
from proof.servers.process import free_port
from proof.servers.prometheus import Prometheus
from tests.tool.verify.bench import CHECKS, Served

ONLY = [part for check in CHECKS for part in ("--only", check.name)]
"""Without those of Alertmanager and Grafana, which are not there."""


@pytest.fixture
def target():
    with Served(2.0).running() as address:
        yield address


@pytest.fixture
def config(tmp_path, target):
    """The configuration of a Prometheus with the defaults of the mixin, whose first scrape may take a while."""
    mixin = evaluate(mixin_path(), {"kronos": {"scrape": {"targets": [target]}}})
    write(render(mixin), tmp_path)
    return {"rule_files": [str(tmp_path / "prometheus/kronos-*.yml")], "scrape_configs": mixin.scrape_configs}


def test_a_prometheus_that_has_just_started(call, config):
    with Prometheus(binaries.newest(), config) as server:
        done = call("verify", "--prometheus", server.url, *ONLY, "--format", "json", code=3)
        told = json.loads(done.stdout)
        assert not told["ok"]
        states = {check["name"]: check["state"] for check in told["checks"]}
        assert {State.error, State.warning}.isdisjoint(states.values()), done.stdout
        assert states["rules-evaluated"] == State.early
        (finding,) = next(check["findings"] for check in told["checks"] if check["name"] == "rules-evaluated")
        assert finding["severity"] == "early"
        assert finding["mend"] == "run this again in a minute"
        done = call("verify", "--prometheus", server.url, "--only", "rules-equal", "--only", "retention")
        assert done.stdout.splitlines()[-1] == "2 checks: 2 ok"


def test_flags_of_prometheus(call, config):
    flags = ["--storage.tsdb.retention.time=2d", "--query.lookback-delta=20s"]
    with Prometheus(binaries.every()[0], config, flags=flags) as server:
        discovered(server)
        done = call("verify", "--prometheus", server.url, "--only", "retention", "--only", "scrape-pace", code=1)
        assert "Prometheus keeps samples for 2d, and the error budget is computed over 15d" in done.stdout
        assert "was started with --query.lookback-delta=20s, and takes series for gone" in done.stdout
        assert "mend: take out that flag" in done.stdout


def test_nobody_answers(call):
    url = f"http://127.0.0.1:{free_port()}"
    done = call("verify", "--prometheus", url, code=1)
    assert f"  - {url}/api/v1/query can't be reached: " in done.stdout
    assert "why:  Nothing below can be asked." in done.stdout
    assert "?       targets-found" in done.stdout
    assert "prometheus-answers has to be right first" in done.stdout


def test_what_merge_remembers_is_expected(call, tmp_path, target):
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    (tmp_path / "mine.yml").write_text("kronos: {alerts: {KronosHighMemoryUsage: {threshold: 0.8}}}")
    call("merge", "prometheus.yml", "--job", "forecasts", "--target", target, "--config", "mine.yml", "--yes")
    with Prometheus(binaries.newest(), tmp_path / "prometheus.yml") as server:
        discovered(server)
        asked = ("verify", "--prometheus", server.url, "--only", "targets-found", "--only", "rules-equal")
        assert "2 checks: 2 ok" in call(*asked, "--merged", "prometheus.yml").stdout
        done = call(*asked, code=1)
        assert "WRONG   targets-found" in done.stdout
        done = call(*asked, "--config", yaml_of(tmp_path, job="forecasts"), code=1)
        assert "KronosHighMemoryUsage: expr has 0.8 instead of 0.9" in done.stdout


def discovered(server: Prometheus) -> None:
    """Wait until a Prometheus has found its targets."""
    deadline = time.monotonic() + 60
    while not server.targets():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def yaml_of(folder, **knobs):
    path = folder / "knobs.yml"
    path.write_text(yaml.safe_dump({"kronos": knobs}))
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name your Prometheus: --prometheus URL"),
        (("--prometheus", "x", "--only", "tagets-up"), "there is no check tagets-up: there are prometheus-answers, "),
        (("--prometheus", "ftp://x"), "ftp://x is no address such as http://localhost:9090"),
        (("--prometheus", "x", "--header", "X"), "--header X: must be NAME:VALUE"),
        (("--prometheus", "x", "--connections", "none.yml"), "none.yml: No such file"),
    ],
)
def test_a_bad_command_line(call, arguments, message):
    assert message in call("verify", *arguments, code=2).stderr
