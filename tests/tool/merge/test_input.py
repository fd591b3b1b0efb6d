"""What merge is given: addresses, files that are no configuration of Prometheus, agents, and lists in brackets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from proof.servers import binaries, promtool
from proof.servers.process import Process, free_port

BOX = ("--mixin", Path(__file__).parents[1] / "fixtures" / "lamp-mixin")
SCRAPE = ("--job", "lamp", "--target", "localhost:1")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "prometheus.yml"
    path.write_text("global: {scrape_interval: 15s}\n")
    return path


@pytest.fixture
def _with_promtool(call, monkeypatch):  # noqa: ARG001 - It takes promtool off PATH.
    monkeypatch.setenv("PATH", f"{binaries.newest().promtool.parent}:/usr/bin:/bin")


@pytest.mark.parametrize(
    "target",
    [
        "http://f:8000",
        "f:8000/v1/metrics",
        "",
        "f",
        "a:8000,b:8000",
        "::1:8000",
        "[::1]",
        "[:::1]:80",
        "f:99999",
        "f:0",
        "f:",
        "f:http",
        " f:1",
        "user@f:1",
    ],
)
@pytest.mark.parametrize("mixin", [(), (*BOX, "--job", "lamp")])
def test_what_is_no_address(call, config, target, mixin):
    before = config.read_text()
    said = call("merge", config, *mixin, "--target", target, "--yes", code=2).stderr
    assert "is not an address with a port" in said
    assert config.read_text() == before
    assert "Traceback" not in said


@pytest.mark.usefixtures("_with_promtool")
@pytest.mark.parametrize("target", ["f:1", "F-1.example.com:65535", "my_container:8000", "[::1]:8000", "10.0.0.1:80"])
def test_what_is_an_address(call, config, target):
    call("merge", config, *BOX, "--job", "lamp", "--target", target, "--yes")
    (job,) = yaml.safe_load(config.read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": [target]}]


@pytest.mark.parametrize("tools_on_path", [True, False])
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("apiVersion: v1\nkind: ConfigMap\ndata:\n  prometheus.yml: |\n    global: {}\n", "apiVersion, data, kind"),
        ("services: {prometheus: {image: p}}\n", "services"),
        ("global: {}\nroute: {receiver: n}\nreceivers: [{name: n}]\n", "receivers, route"),
        ("groups: []\n", "groups"),
        ("server: {}\nclients: []\nscrape_configs: []\n", "clients"),
        ("- job_name: a\n", "its top level is not a mapping"),
    ],
)
def test_another_programs_file(call, config, text, named, tools_on_path, monkeypatch):
    if tools_on_path:
        monkeypatch.setenv("PATH", f"{binaries.newest().promtool.parent}:/usr/bin:/bin")
    config.write_text(text)
    assert named in call("merge", config, *BOX, *SCRAPE, "--yes", code=1).stderr
    assert list(config.parent.iterdir()) == [config]


@pytest.mark.usefixtures("_with_promtool")
def test_an_agents_configuration(call, config, tmp_path):
    text = "remote_write:\n  - url: http://127.0.0.1:9/\n"
    config.write_text(text)
    done = call("merge", config, *BOX, *SCRAPE, "--yes", code=1)
    assert "say --scrape-only" in done.stderr
    assert config.read_text() == text
    call("merge", config, *BOX, *SCRAPE, "--yes", "--scrape-only")
    assert yaml.safe_load(config.read_text()).keys() == {"remote_write", "scrape_configs"}
    assert not (tmp_path / "kronos-mixin").exists()
    assert "nothing to do" in call("merge", config, *BOX).stdout
    call("unmerge", config, "--name", "lamp", "--yes")
    assert config.read_text() == text
    # What an agent refuses is found by promtool, and put aside by the word of who knows better.
    config.write_text(text + "rule_files: []\n")
    call("merge", config, *BOX, *SCRAPE, "--yes", "--no-scrape-only")
    assert len(yaml.safe_load(config.read_text())["rule_files"]) == 2
    call("merge", config, *BOX, "--yes", "--scrape-only")
    assert not (tmp_path / "kronos-mixin").exists()
    assert "exclude each other" in call("merge", config, "--scrape-only", "--rules-only", code=2).stderr


@pytest.mark.usefixtures("_with_promtool")
def test_an_agent_that_runs_it(call, config, tmp_path):
    """Agents answer questions about their configuration, and none about rules."""
    config.write_text("remote_write:\n  - url: http://127.0.0.1:9/\n")
    call("merge", config, *BOX, *SCRAPE, "--yes", "--scrape-only")
    tools = binaries.newest()
    port = free_port()
    agent = ["--agent"] if tools.release >= (3,) else ["--enable-feature=agent"]
    argv = [tools.prometheus, *agent, f"--config.file={config}", f"--storage.agent.path={tmp_path}/data"]
    argv += [f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"]
    with Process(argv, log=tmp_path / "log", name="agent") as agent:
        agent.wait_http(f"http://127.0.0.1:{port}/-/ready")
        done = call("merge", config, *BOX, "--target", "localhost:2", "--yes", "--reload", f"http://127.0.0.1:{port}")
        assert "has reloaded: it runs the scrape job lamp." in done.stdout
        done = call("unmerge", config, "--name", "lamp", "--yes", "--reload", f"http://127.0.0.1:{port}")
        assert "it runs nothing of lamp any more" in done.stdout


@pytest.mark.usefixtures("_with_promtool")
def test_lists_in_brackets(call, config, tmp_path):
    (tmp_path / "rules").mkdir()
    text = "rule_files: ['rules/*.yml']\nscrape_configs: [{job_name: n}]  # ours\n"
    config.write_text(text)
    call("merge", config, *BOX, *SCRAPE, "--rules-dir", "rules", "--yes")
    data = yaml.safe_load(config.read_text())
    assert data["rule_files"] == ["rules/*.yml"]
    assert [job["job_name"] for job in data["scrape_configs"]] == ["n", "lamp"]
    assert "nothing to do" in call("merge", config, *BOX).stdout
    call("merge", config, *BOX, "--rules-dir", "elsewhere", "--target", "localhost:2", "--yes")
    data = yaml.safe_load(config.read_text())
    assert data["rule_files"] == ["rules/*.yml", "elsewhere/lamp-rules.yml", "elsewhere/lamp-alerts.yml"]
    assert data["scrape_configs"][1]["static_configs"] == [{"targets": ["localhost:2"]}]
    promtool.check_config(binaries.newest(), config)
    assert not list((tmp_path / "rules").iterdir())
    call("unmerge", config, "--name", "lamp", "--yes")
    assert config.read_text() == text


def test_nothing_in_the_file_and_still_remembered(call, config, tmp_path):
    """The rules of an own job, where a pattern finds them: the rule files themselves remember the options."""
    (tmp_path / "rules").mkdir()
    text = "rule_files: ['rules/*.yml']\nscrape_configs:\n- job_name: mine\n"
    config.write_text(text)
    call("merge", config, "--job", "mine", "--rules-only", "--rules-dir", "rules", "--yes")
    assert config.read_text() == text
    assert 'job="mine"' in (tmp_path / "rules/kronos-alerts.yml").read_text()
    assert "nothing to do" in call("merge", config).stdout
    call("unmerge", config, "--yes")
    assert config.read_text() == text
    assert not list((tmp_path / "rules").iterdir())


@pytest.mark.usefixtures("_with_promtool")
@pytest.mark.parametrize(
    ("text", "advice", "followed"),
    [
        (
            "alerting: &a\n  alertmanagers: []\nrule_files: &r\n- a*.yml\nscrape_config_files: *r\n",
            "write them out",
            "rule_files:\n- a*.yml\nscrape_config_files:\n- a*.yml\n",
        ),
        (
            "scrape_config_files: &r [a*.yml]\nrule_files: *r\n",
            "write the list itself there",
            "scrape_config_files: [a*.yml]\nrule_files: [a*.yml]\n",
        ),
        ("{global: {}}\n", "write one key per line", "global: {}\n"),
        ("scrape_configs:\n- job_name: |\n    text", "add one", "scrape_configs:\n- job_name: |\n    text\n"),
        (
            "remote_write:\n- url: http://127.0.0.1:9/\n",
            "--no-scrape-only if",
            "remote_write:\n- url: http://127.0.0.1:9/\nrule_files:\n",
        ),
    ],
)
def test_advice_works(call, config, text, advice, followed):
    config.write_text(text)
    assert advice in call("merge", config, *BOX, *SCRAPE, "--yes", code=1).stderr
    config.write_text(followed)
    call("merge", config, *BOX, *SCRAPE, "--yes")
    promtool.check_config(binaries.newest(), config)


@pytest.mark.usefixtures("_with_promtool")
def test_two_installations_in_one_file(call, config):
    text = config.read_text()
    call("merge", config, "--target", "a:8000", "--yes")
    once = config.read_text()
    call("merge", config, "--name", "staging", "--job", "staging", "--target", "b:8000", "--yes")
    data = yaml.safe_load(config.read_text())
    assert [job["job_name"] for job in data["scrape_configs"]] == ["kronos-api", "staging"]
    assert len(data["rule_files"]) == 4
    promtool.check_config(binaries.newest(), config)
    for name in ("kronos", "staging"):
        assert "nothing to do" in call("merge", config, "--name", name).stdout
    call("unmerge", config, "--name", "staging", "--yes")
    assert config.read_text() == once
    call("unmerge", config, "--yes")
    assert config.read_text() == text
