from __future__ import annotations

import math
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from kronos_mixin.verify.api import QueryError, Sample, WaitError
from proof.servers import prometheus
from proof.servers.binaries import Tools
from proof.servers.process import ProcessError, free_port
from proof.servers.prometheus import Prometheus

ROOT = Path(__file__).parents[3]
RULES = {
    "groups": [
        {
            "name": "test",
            "rules": [
                {"record": "job:up:sum", "expr": "sum by (job) (up)"},
                {"alert": "AlwaysOn", "expr": "vector(1)", "labels": {"severity": "info"}},
            ],
        }
    ]
}


def test_every_version_scrapes_itself(versions, config, tmp_path):
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(RULES))

    def check(tools: Tools) -> None:
        port = free_port()
        scrape = {"job_name": "itself", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        content = {**config, "rule_files": [str(rules)], "scrape_configs": [scrape]}
        with Prometheus(tools, content, port=port) as server:
            (up,) = server.wait_for('up{job="itself"} == 1', timeout=30)
            assert up.labels == {"__name__": "up", "job": "itself", "instance": f"127.0.0.1:{port}"}
            assert up.value == 1
            assert up.timestamp == pytest.approx(time.time(), abs=30)
            (build,) = server.query("prometheus_build_info")
            assert build.labels["version"].startswith(tools.version)

            server.wait_for("job:up:sum == 1", timeout=30)
            server.wait_for('ALERTS{alertname="AlwaysOn"}', timeout=30)
            (alert,) = server.alerts()
            assert alert["labels"] == {"alertname": "AlwaysOn", "severity": "info"}
            assert alert["state"] == "firing"
            (group,) = server.rules()
            assert [rule["name"] for rule in group["rules"]] == ["job:up:sum", "AlwaysOn"]
            (target,) = server.targets()
            assert target["health"] == "up"

            server.reload({**config, "scrape_configs": [{**scrape, "job_name": "renamed"}]})
            server.wait_for('up{job="renamed"} == 1', timeout=30)
            assert server.rules() == []
            with pytest.raises(ProcessError, match=r"(?s)Prometheus refused .*no_such_key"):
                server.reload({**config, "no_such_key": 1})
            # It goes on with what it had.
            assert [target["labels"]["job"] for target in server.targets()] == ["renamed"]
        assert server.process.returncode == 0

    # At once: Prometheus takes over new targets every 5 s only, and no flag changes that.
    with ThreadPoolExecutor() as pool:
        list(pool.map(check, versions))


def test_queries(tools, config):
    with Prometheus(tools, config) as server:
        assert server.query("vector(1) > 2") == []
        assert server.query("time()", at=1000) == [Sample({}, 1000.0, 1000.0)]
        assert server.query('label_replace(vector(7), "a", "b", "", "")', at=5) == [Sample({"a": "b"}, 7, 5)]
        values = [server.query(expr)[0].value for expr in ("vector(1) / 0", "vector(-1) / 0")]
        assert values == [math.inf, -math.inf]
        assert math.isnan(server.query("vector(0) / 0")[0].value)
        (series,) = server.query_range("vector(3)", start=100, end=160, step=30)
        assert series.points == ((100, 3), (130, 3), (160, 3))
        assert [sample.timestamp for sample in server.query("vector(1)[1m:30s]", at=120)][-1] == 120
        with pytest.raises(QueryError, match=r"sum\(: HTTP 400 .*parse error"):
            server.query("sum(")
        with pytest.raises(QueryError, match="parse error"):
            server.wait_for("sum(")
        with pytest.raises(WaitError, match=r"within 0\.3 s .*\(1 samples\):\n  \{\} 4"):
            server.wait_for("vector(4)", lambda samples: samples[0].value == 5, timeout=0.3, interval=0.1)
        with pytest.raises(WaitError, match=r"\(0 samples\):\n  nothing"):
            server.wait_for("up", timeout=0.1, interval=0.1)


def test_a_file_and_a_database_that_stay(tools, config, tmp_path):
    file, data = tmp_path / "prometheus.yml", tmp_path / "data"
    file.write_text(yaml.safe_dump(config))
    with Prometheus(tools, file, data=data, flags=["--storage.tsdb.retention.time=3d"]) as server:
        assert server.config == file
        flags = httpx.get(f"{server.url}/api/v1/status/flags", trust_env=False).json()["data"]
        assert flags["storage.tsdb.retention.time"] == "3d"
        file.write_text(yaml.safe_dump({**config, "global": {"external_labels": {"cluster": "test"}}}))
        server.reload()
        loaded = httpx.get(f"{server.url}/api/v1/status/config", trust_env=False).json()["data"]["yaml"]
        assert "cluster: test" in loaded
        with pytest.raises(TypeError, match="edit that"):
            server.reload(config)
        work = server.process.log.parent
    assert file.exists()
    assert list(data.iterdir())
    assert not work.exists()


def test_a_wrong_configuration_says_prometheus_reason(versions):
    for tools in versions:
        server = Prometheus(tools, {"no_such_key": 1})
        with (
            pytest.raises(ProcessError, match=r"(?s)Prometheus \S+ ended with exit code .*no_such_key"),
            server,
        ):
            pytest.fail("started")
        assert not server.process.running
        assert not server.process.log.parent.exists()


def test_too_short_a_time(tools, config, monkeypatch):
    server = Prometheus(tools, config, timeout=-1)
    # As if it hung: the address that is asked is not the one that it listens on.
    monkeypatch.setattr(prometheus.Process, "wait_http", _ask_elsewhere(prometheus.Process.wait_http))
    with pytest.raises(ProcessError, match="was not ready"), server:
        pytest.fail("started")
    assert not server.process.running


def _ask_elsewhere(wait):
    def elsewhere(self, _, **options):
        wait(self, f"http://127.0.0.1:{free_port()}/", **options)

    return elsewhere


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left(tools, config, error):
    server = Prometheus(tools, config)
    with pytest.raises(error), server:
        raise error
    assert not psutil.pid_exists(server.process.pid)
    assert not server.process.log.parent.exists()


def test_nothing_is_left_when_interrupted_while_starting(tools, config, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(prometheus.Process, "wait_http", interrupt)
    server = Prometheus(tools, config)
    with pytest.raises(KeyboardInterrupt), server:
        pytest.fail("started")
    assert not psutil.pid_exists(server.process.pid)
    assert not server.process.log.parent.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a program when its parent is killed")
def test_nothing_is_left_after_the_parent_was_killed(tools, config, tmp_path):
    script = (
        "import sys, time; from pathlib import Path\n"
        "from proof.servers.binaries import Tools; from proof.servers.prometheus import Prometheus\n"
        "tools = Tools(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))\n"
        f"with Prometheus(tools, {config!r}, data=Path(sys.argv[4])) as server:\n"
        "    print(server.process.pid, flush=True); time.sleep(600)\n"
    )
    arguments = [tools.version, tools.prometheus, tools.promtool, tmp_path]
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        assert server.name() == tools.prometheus.name
        parent.kill()
    deadline = time.monotonic() + 10
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.02)


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_was_taken_meanwhile(tools, config, taken, monkeypatch):
    ports = iter([taken, taken, free_port()])
    monkeypatch.setattr(prometheus, "free_port", lambda: next(ports))
    with Prometheus(tools, config) as server:
        assert server.url != f"http://127.0.0.1:{taken}"
        assert server.query("vector(1)")


def test_a_given_port_that_is_taken(tools, config, taken):
    with pytest.raises(ProcessError, match="address already in use"), Prometheus(tools, config, port=taken):
        pytest.fail("started")


def test_a_port_that_another_prometheus_has(tools, config):
    with Prometheus(tools, config) as first:
        port = httpx.URL(first.url).port
        with (
            pytest.raises(ProcessError, match="address already in use"),
            Prometheus(tools, config, port=port),
        ):
            pytest.fail("took the other for its own")
        assert first.query("vector(1)")


def test_before_it_is_started(tools, config):
    server = Prometheus(tools, config)
    for use in (lambda: server.process, lambda: server.config):
        with pytest.raises(ProcessError, match="use it in a `with` statement"):
            use()
    server.close()


def test_without_a_server_the_api_says_so(tools, config):
    with Prometheus(tools, config) as server:
        server.process.stop()
        with pytest.raises(QueryError, match="can't be reached"):
            server.query("up")
        with pytest.raises(ProcessError, match="did not answer"):
            server.reload()
