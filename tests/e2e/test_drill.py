"""A drill of a few alerts, from the command line, through a real Prometheus and a real Alertmanager."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from click.testing import Result
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule
from cloudcoil.models.prometheus_operator.v1alpha1 import ScrapeConfig
from typer.testing import CliRunner

from kronos_mixin.__main__ import app
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import alertmanager, binaries
from proof.servers.alertmanager import Alertmanager, Receivers, hurried
from proof.servers.prometheus import Prometheus
from tests.tool.drill.kills import tree

PATIENCE = 240

CONFIG = """\
# The central one.
global:
  scrape_interval: 15s   # sic
  external_labels: {{region: eu}}
alerting:
  alertmanagers:
  - static_configs:
    - targets: ['{alertmanager}']
  alert_relabel_configs:
  - {{source_labels: [alertname], regex: KronosHighMemoryUsage, action: drop}}
rule_files: [rules/*.yml]
scrape_configs:
- job_name: itself
  static_configs: [{{targets: ['localhost:1']}}]
"""


class Stack:
    """A user's Prometheus and Alertmanager, and who hears of its alerts."""

    def __init__(self, folder: Path, server: Prometheus, manager: Alertmanager, receivers: Receivers) -> None:
        self.folder, self.server, self.manager, self.receivers = folder, server, manager, receivers
        self.config = folder / "prometheus.yml"

    def command(self, *arguments: object) -> list[str]:
        given = ("drill", self.config, "--prometheus", self.server.url, "--interval", "1s", *arguments)
        return [str(argument) for argument in given]

    def drill(self, *arguments: object, code: int = 0) -> Result:
        done = CliRunner().invoke(app, self.command(*arguments))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == code, done.output
        return done


def routes(url) -> dict[str, object]:
    """Those of the mixin's example, as a team might have changed them."""
    config = hurried(evaluate(mixin_path()).alertmanager, url)
    # Drills of one alert go elsewhere; nobody hears of another, and a third is muted.
    stuck = {"matchers": ['alertname="KronosModelStuck"', 'drill="true"'], "receiver": "elsewhere"}
    route = {**config["route"], "routes": [stuck, *config["route"]["routes"]]}
    receivers = [{"name": one["name"]} if one["name"] == "kronos-info" else one for one in config["receivers"]]
    muting = {
        "source_matchers": ['alertname="KronosModelStuck"'],
        "target_matchers": ['alertname="KronosInstanceNotReady"'],
    }
    return {
        **config,
        "route": route,
        "receivers": receivers,
        "inhibit_rules": [*config["inhibit_rules"], muting],
    }


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("etc")
    with contextlib.ExitStack() as running:
        receivers = running.enter_context(Receivers())
        manager = running.enter_context(Alertmanager(alertmanager.every()[-1], routes(receivers.url)))
        (folder / "prometheus.yml").write_text(CONFIG.format(alertmanager=manager.url.removeprefix("http://")))
        server = running.enter_context(Prometheus(binaries.newest(), folder / "prometheus.yml"))
        yield Stack(folder, server, manager, receivers)


@pytest.fixture(scope="module")
def drilled(stack, tmp_path_factory):
    """The report of a drill in which some alerts arrive and others don't, and the folders before and after."""
    stack.manager.silence([{"name": "alertname", "value": "KronosEventLoopBlocked", "isRegex": False}])
    output, before = tmp_path_factory.mktemp("report"), tree(stack.folder)
    alerts = [f"--alert={name}" for name in FOUND]
    done = stack.drill("--yes", "--output", output, "--format", "json", "--hold", "5s", *alerts, code=1)
    return json.loads(done.stdout), before, tree(stack.folder), output


FOUND = {
    "KronosModelStuck": "",
    "KronosInstanceNotReady": "",
    "KronosHighMemoryUsage": "Alertmanager",
    "KronosEventLoopBlocked": "receiver",
    "KronosVersionSkew": "receiver",
}
"""The alerts that are drilled, and the stage at which each gets lost."""

CAUSES = {
    "KronosHighMemoryUsage": "alert_relabel_configs[0] of Prometheus drops it",
    "KronosEventLoopBlocked": "it is silenced by ",
    "KronosVersionSkew": "its route leads to kronos-info, which has no integration and tells nobody",
}


def test_each_alert_is_seen_all_the_way_or_told_where_it_got_lost(drilled):
    report = drilled[0]
    lines = {line["alert"]: line for line in report["lines"]}
    assert {name: line["lost"] for name, line in lines.items()} == FOUND
    for name, cause in CAUSES.items():
        assert lines[name]["cause"].startswith(cause)
    assert not report["ok"]
    for line in lines.values():
        assert {"pending", "firing"} <= line["after"].keys()
        assert "resolved" in line["then"]


def test_the_receivers_of_the_drill_and_of_the_real_alerts(drilled, stack):
    lines = {line["alert"]: line for line in drilled[0]["lines"]}
    assert lines["KronosModelStuck"]["receivers"] == ["elsewhere"]
    assert lines["KronosModelStuck"]["really"] == ["kronos-ticket"]
    assert lines["KronosInstanceNotReady"]["muted_by"] == ["KronosModelStuck"]
    heard = {(receiver, labels["alertname"]) for receiver, labels in stack.receivers.heard}
    # What is muted may be told before the other one fires.
    assert heard - {("kronos-ticket", "KronosInstanceNotReady")} == {("elsewhere", "KronosModelStuck")}
    assert all(labels["drill"] == "true" and labels["region"] == "eu" for _, labels in stack.receivers.heard)


def test_nothing_is_left(drilled, stack):
    _, before, after, _ = drilled
    assert before == after
    assert not [group for group in stack.server.rules() if "drill" in group["name"]]
    assert "kronos-drill" not in httpx.get(f"{stack.server.url}/api/v1/status/config", trust_env=False).text


def test_the_report_is_written_for_people_too(drilled):
    output = drilled[3]
    assert json.loads((output / "drill.json").read_text()).items() <= drilled[0].items()
    for name in ("drill.md", "drill.html"):
        text = (output / name).read_text()
        assert all(alert in text for alert in FOUND)
        assert "alert_relabel_configs[0] of Prometheus drops it" in text
    assert "http" not in (output / "drill.html").read_text().split("</style>")[0], "it needs nothing from elsewhere"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_ended_in_the_middle(stack, number):
    before = tree(stack.folder)
    command = [sys.executable, "-m", "kronos_mixin", *stack.command("--yes", "--alert", "KronosTargetMissing")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as running:
        for line in running.stderr:
            if "holds the drill" in line:
                break
        assert tree(stack.folder) != before
        running.send_signal(number)
        running.communicate(timeout=PATIENCE)
    if number is signal.SIGKILL:
        assert tree(stack.folder) != before
        assert "had not ended: it has been taken out" in stack.drill("--clean").stderr
    else:
        assert running.returncode in {130, 128 + number}
    assert tree(stack.folder) == before
    assert not [group for group in stack.server.rules() if "drill" in group["name"]]


def test_alerts_that_an_early_end_has_left_are_resolved(stack):
    alert = {"alertname": "KronosModelStuck", "job": "kronos-drill-stuck", "drill": "true"}
    real = {"alertname": "KronosModelStuck", "job": "kronos-api"}
    stack.manager.fire([alert, real])
    stack.drill("--clean")
    left = httpx.get(f"{stack.manager.url}/api/v2/alerts", trust_env=False).json()
    assert [one["labels"] for one in left] == [real]
    stack.manager.resolve([real])


def test_clean_where_nothing_is_left(stack):
    assert "nothing of a drill is left" in stack.drill("--clean").stdout
    assert json.loads(stack.drill("--clean", "--format", "json").stdout) == {"ok": True, "error": None, "notes": []}


def test_a_dry_run_changes_nothing_and_says_who_would_be_told(stack):
    before = tree(stack.folder)
    done = stack.drill("--dry-run")
    data = json.loads(stack.drill("--dry-run", "--format", "json").stdout)
    assert tree(stack.folder) == before
    assert done.stdout.splitlines() == [*data["diff"], *data["announced"]]
    assert "+- job_name: kronos-drill\n" in done.stdout
    assert "33 alerts through 31 faults of 35 made-up targets, scraped every 1 s: about 1m5s." in done.stdout
    assert "Receivers: kronos-ticket of 22, kronos-page of 8, elsewhere of 1, kronos-info of 1." in done.stdout


def test_where_every_alert_would_go(stack):
    done = stack.drill("--receiver-only-check", "--format", "json", code=1)
    found = {one["alert"]: one for one in json.loads(done.stdout)["destinations"]}
    assert found["KronosModelStuck"]["receivers"] == ["kronos-ticket"]
    assert found["KronosModelStuck"]["labels"]["region"] == "eu"
    wrong = {name for name, one in found.items() if one["wrong"]}
    assert {"KronosHighMemoryUsage", "KronosVersionSkew"} <= wrong
    assert "WRONG  KronosVersionSkew" in stack.drill("--receiver-only-check", code=1).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--alert", "KronosTrafficDropped"], 2, "is none that can be drilled: there are KronosErrorBudgetBurn, "),
        (["--interval", "90s"], 2, "must be whole seconds, from 1s to 1m"),
        (["--listen", "here"], 2, "must be HOST:PORT"),
        (["--hold", "long"], 2, "must be a duration, such as 1m"),
        (["--job", 'a"b'], 2, "letters, digits, - and _ only"),
        (["--objects", "x"], 2, "name either your prometheus.yml or a folder for --objects"),
        (["--config", "mine.yml"], 1, 'select job=~"kronos-.*", and so the targets of the drill, too'),
        (["--alertmanager", "localhost:1"], 3, "can't be reached"),
        ([], 1, "There is no one to ask"),
    ],
)
def test_what_is_refused(stack, tmp_path, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    mine = {"kronos": {"selector": 'job=~"kronos-.*"'}}
    Path("mine.yml").write_text(yaml.safe_dump(mine))
    before = tree(stack.folder)
    done = stack.drill(*arguments, "--format", "json", code=code)
    assert said in done.stderr
    assert said in json.loads(done.stdout)["error"]
    assert tree(stack.folder) == before


def test_objects_that_somebody_else_applies(stack, tmp_path):
    """Rules and scrape job are loaded, and taken away again, by another hand; here that is this test's."""
    folder, before = tmp_path / "drill", stack.config.read_text()
    given = ["--objects", folder, "--yes", "--alert", "KronosModelStuck", "--output", tmp_path / "report"]
    command = [
        sys.executable,
        "-m",
        "kronos_mixin",
        *(one for one in stack.command(*given) if one != str(stack.config)),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as running:
        for line in running.stderr:
            if "Apply the objects" in line:
                job = yaml.safe_load((folder / "kronos-drill-scrape-config.yml").read_text())["scrape_configs"]
                config = yaml.safe_load(before)
                config["rule_files"].append(f"{folder}/kronos-drill-*s.yml")
                config["scrape_configs"] += job
                stack.config.write_text(yaml.safe_dump(config))
                stack.server.reload()
                files = sorted((folder / "kubernetes").iterdir())
                alerts, rules, scrape = (yaml.safe_load(path.read_text()) for path in files)
                PrometheusRule.model_validate(alerts)
                PrometheusRule.model_validate(rules)
                ScrapeConfig.model_validate(scrape)
            if "Take the objects away" in line:
                stack.config.write_text(before)
                stack.server.reload()
        running.wait(PATIENCE)
    report = json.loads((tmp_path / "report/drill.json").read_text())
    assert running.returncode == 0, report
    assert [line["alert"] for line in report["lines"]] == ["KronosModelStuck"]
    assert not folder.exists()
