"""`kronos-mixin serve`, as a program of its own, with a folder that stands for the built page."""

from __future__ import annotations

import json
import shutil
import signal
import sys

import httpx
import pytest

from proof.servers.process import Process, free_port


@pytest.fixture
def page(tmp_path):
    (tmp_path / "page").mkdir()
    (tmp_path / "page/index.html").write_text("the page")
    return "page"


def test_a_save_reaches_the_page_and_so_does_an_error(fixtures, tmp_path, page):
    shutil.copytree(fixtures / "lamp-mixin", tmp_path / "lamp-mixin")
    mixin = tmp_path / "lamp-mixin/mixin.libsonnet"
    text = mixin.read_text()
    nobody, port = f"http://127.0.0.1:{free_port()}", free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "kronos_mixin", "serve", "--mixin", "lamp-mixin", "--prometheus", nobody]
    with Process(
        [*argv, "--app", page, "--port", str(port)], cwd=tmp_path, log=tmp_path / "log", name="serve"
    ) as process:
        process.wait_http(f"{url}/settings.json")
        with (
            httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
            client.stream("GET", "/events") as answer,
        ):
            lines = (line for line in answer.iter_lines() if line.startswith("data: "))
            news = (json.loads(line.removeprefix("data: ")) for line in lines)
            while not (seen := next(news))["revision"]:
                pass
            assert seen["error"] == ""
            mixin.write_text(f"{text}\n+ oops")
            assert "unknown variable: oops" in next(news)["error"]
            assert [one["uid"] for one in client.get("/dashboards.json").json()["dashboards"]] == ["lamp"]
            mixin.write_text(f"{text} + {{ grafanaDashboards+:: {{ 'more.json': {{ title: 'More' }} }} }}")
            assert next(news)["error"] == ""
            titles = [one["title"] for one in client.get("/dashboards.json").json()["dashboards"]]
            assert titles == ["Lamps", "More"]
        assert "can't be reached" in process.tail()
        process.send(signal.SIGINT)
        assert process.wait(60) == 0


def test_a_wrong_command_line(call, page, tmp_path):
    assert "name your Prometheus" in call("serve", "--app", page, code=2).stderr
    known = ["serve", "--prometheus", "localhost:9090"]
    assert "holds no index.html" in call(*known, "--app", tmp_path, code=2).stderr
    assert "is no duration" in call(*known, "--app", page, "--scrape-interval", "often", code=2).stderr
