"""After a reload, merge says what the Prometheus does not run, and why."""

from __future__ import annotations

import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kronos_mixin.merge.loaded import _same
from proof.servers import binaries
from proof.servers.prometheus import Prometheus

BOX = ("--mixin", Path(__file__).parents[1] / "fixtures" / "lamp-mixin")
SCRAPE = ("--job", "lamp", "--target", "localhost:1")


@pytest.fixture
def mount(tmp_path):
    """What a container sees of the folder `etc`: the same names, and not always the same files."""
    for name in ("etc", "container"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc/prometheus.yml").write_text("scrape_configs:\n  - job_name: itself\n")
    os.link(tmp_path / "etc/prometheus.yml", tmp_path / "container/prometheus.yml")
    return tmp_path / "container"


def test_what_a_container_does_not_see(call, tmp_path, mount):
    config = tmp_path / "etc/prometheus.yml"
    rules = tmp_path / "etc/kronos-mixin"

    def failing(*arguments):
        done = call("merge", config, *BOX, *arguments, "--reload", prometheus.url, "--yes", code=1)
        assert done.stderr.endswith("The files stay as they are.\n")
        assert "it runs 2 rule groups" not in done.stdout
        return done.stderr

    with Prometheus(binaries.newest(), mount / "prometheus.yml") as prometheus:
        said = failing(*SCRAPE)
        assert "it has no scrape job lamp" in said
        assert f"it runs {config} as it was before (it was started with --config.file={mount}/prometheus.yml)" in said
        # The new file, but not the folder beside it.
        shutil.copy(config, mount / "prometheus.yml")
        assert f"it has not loaded {rules}/lamp-rules.yml: if it runs in a container, mount {rules}" in failing()
        rules.chmod(0o700)
        assert f"{rules} has the mode 0700: the user that the server runs as can't read it" in failing()
        rules.chmod(0o755)
        # The folder, whose files are mounted one by one.
        (mount / "kronos-mixin").mkdir()
        for path in rules.iterdir():
            os.link(path, mount / "kronos-mixin" / path.name)
        done = call("merge", config, *BOX, "--reload", prometheus.url)
        assert f"{prometheus.url} has reloaded: it runs 2 rule groups, the scrape job lamp." in done.stdout
        (tmp_path / "mine.yml").write_text("burnHours: 5")
        said = failing("--config", "mine.yml")
        assert "kronos-mixin/lamp-alerts.yml with other rules in the group lamp-alerts than" in said
        # A copy that somebody else's entry names.
        shutil.copy(rules / "lamp-alerts.yml", mount / "kronos-mixin/lamp-alerts.yml")
        shutil.copy(rules / "lamp-alerts.yml", mount / "copy.yml")
        text = (mount / "prometheus.yml").read_text()
        (mount / "prometheus.yml").write_text(text.replace("rule_files:", "rule_files:\n  - copy.yml"))
        assert "it runs the group lamp-alerts 2 times: from " in failing()
        # Another target than the one that was written.
        (mount / "prometheus.yml").write_text(text.replace("localhost:1", "localhost:2"))
        assert "its scrape job lamp has another static_configs" in failing()


def test_a_refusal_of_files_that_only_their_owner_can_read(call, tmp_path):
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {}\n")
    call("merge", config, *BOX, "--yes")
    (tmp_path / "kronos-mixin").chmod(0o755)
    (tmp_path / "kronos-mixin/lamp-rules.yml").chmod(0o600)
    done = call("merge", config, *BOX, "--reload", "localhost:1", code=1)
    assert "lamp-rules.yml has the mode 0600: the user that the server runs as can't read it" in done.stderr


class Anything(BaseHTTPRequestHandler):
    """A program that takes every request, and is no Prometheus."""

    def do_POST(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_two_addresses_and_no_prometheus(call, tmp_path):
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {}\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), Anything) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        other = f"http://127.0.0.1:{server.server_port}"
        done = call("merge", config, *BOX, "--yes", "--reload", other, "--reload", "localhost:1", code=1)
        assert "Prometheus at http://localhost:1 does not answer" in done.stderr
        assert f"Everything was put back as it was; {other} has read that again" in done.stderr
        assert config.read_text() == "global: {}\n"
        done = call("merge", config, *BOX, "--yes", "--reload", other, code=1)
        assert "it does not say what it has read (/api/v1/status/config): is this address that of a Prometheus?" in (
            done.stderr
        )
        server.shutdown()


@pytest.mark.parametrize(
    ("written", "running", "same"),
    [
        ("90s", "1m30s", True),
        ("90s", "90m", False),
        ("10MB", "10MiB", True),
        ("secret", "<secret>", True),
        ("token", "/etc/prometheus/token", True),
        ("token", "/etc/prometheus/broken", False),
        ("false", None, True),
        ("true", None, False),
        ("yes", True, True),
        ("no", True, False),
        ([{"targets": ["a:1"]}], [{"targets": ["a:1"], "labels": {}}], True),
        ([{"targets": ["a:1"]}], [{"targets": ["a:1", "b:1"]}], False),
        ({"a": "1"}, None, False),
    ],
)
def test_what_prometheus_shows_for_what_was_written(written, running, same):
    assert _same(written, running) is same
