"""What monitoring/README.md shows is tried."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import textwrap

import pytest
import yaml
from cloudcoil.models.prometheus_operator.v1 import PodMonitor
from typer.testing import CliRunner

from kronos_mixin import connect
from kronos_mixin.__main__ import app
from kronos_mixin.compile import render
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify.routing import Routing
from proof.servers import binaries, kustomize, promtool

FOLDER = mixin_path().parent / "monitoring"
TEXT = (FOLDER / "README.md").read_text()
CODE = [
    (kind, textwrap.dedent(code))
    for kind, code in re.findall(r"^ *```(\w+)\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
]
YAML = [code for kind, code in CODE if kind == "yaml"]
SCRAPES = [code for code in YAML if "scrape_configs:" in code]


def discovery(code):
    return next(key for key in yaml.safe_load(code)["scrape_configs"][0] if key.endswith("_configs"))


@pytest.mark.parametrize("number", range(len(SCRAPES)))
def test_scrape_examples(number, tmp_path):
    shutil.copytree(FOLDER / "prometheus", tmp_path / "kronos")
    path = tmp_path / "prometheus.yml"
    path.write_text(SCRAPES[number])
    # Debian 12 builds its Prometheus without discovery in Kubernetes.
    oldest = (2, 53) if "kubernetes_sd_configs" in SCRAPES[number] else binaries.OLDEST
    fit = [tools for tools in binaries.every() if tools.release >= oldest]
    assert fit
    for tools in fit:
        assert "SUCCESS" in promtool.check_config(tools, path)
    (job,) = yaml.safe_load(SCRAPES[number])["scrape_configs"]
    contract = load_contract()
    assert (job["job_name"], job["metrics_path"]) == (contract.job, contract.metrics_path)


def test_every_way_to_find_instances_is_shown():
    assert {discovery(code) for code in SCRAPES} == {
        "static_configs", "file_sd_configs", "dns_sd_configs", "docker_sd_configs", "kubernetes_sd_configs",
        "http_sd_configs",
    }  # fmt: skip


def test_a_scrape_example_that_is_wrong_would_be_found(tmp_path):
    (pods,) = (code for code in SCRAPES if "role: pod" in code)
    (tmp_path / "p.yml").write_text(pods.replace("role: pod", "role: pots"))
    with pytest.raises(promtool.CheckFailed, match="unknown Kubernetes SD role"):
        promtool.check_config(binaries.newest(), tmp_path / "p.yml")


def test_the_other_yaml(tmp_path):
    others = [yaml.safe_load(code) for code in YAML if code not in SCRAPES]
    drills, connections, monitor, _, provisioning, _ = others
    config = {"receivers": [{"name": "drills"}, {"name": "all"}], "route": {"receiver": "all", **drills}}
    assert Routing(config).receivers({"alertname": "KronosServiceDown", "drill": "true"}) == ["drills"]
    (tmp_path / "stack.yml").write_text(yaml.safe_dump(connections))
    found = connect.read(tmp_path / "stack.yml")
    assert found.prometheus.http_headers == {"X-Scope-OrgID": "quant"}
    assert found.alertmanager.basic_auth["password_file"] == str(tmp_path / "password")
    PodMonitor.model_validate(monitor)
    assert provisioning["providers"][0]["type"] == "file"


def test_two_environments(call, tmp_path):
    """The commands of the guide, pasted one after the other."""
    section = TEXT.partition("### Two environments")[2].partition("\n## ")[0]
    commands = re.findall(r"^(kronos-mixin|echo) (.*)$", section, re.MULTILINE)
    config = tmp_path / "prometheus.yml"
    config.write_text(mine := "global: {}\n")
    (tmp_path / "staging.yml").write_text("kronos: {alerts: {KronosHighErrorRate: {threshold: 0.2}}}\n")
    states = []
    for program, arguments in commands:
        if program == "echo":
            subprocess.run(["sh", "-c", f"echo {arguments}"], check=True, cwd=tmp_path)
        else:
            call(*shlex.split(arguments), answer="y")
        states.append(config.read_text())
    one, both, updated, left, *_ = states
    assert both.count("job_name: ") == 2
    assert updated == both, "nothing had changed"
    assert left == one != mine
    files = {path.name for path in (tmp_path / "kronos-mixin").iterdir()}
    assert files == {"kronos-rules.yml", "kronos-alerts.yml"}
    # The other way round.
    call(*shlex.split(commands[1][1]), answer="y")
    call("unmerge", "prometheus.yml", answer="y")
    assert "job_name: staging" in config.read_text()
    assert "kronos-api" not in config.read_text()
    call("unmerge", "prometheus.yml", "--name", "staging", answer="y")
    assert config.read_text() == mine
    for path in (tmp_path / "both/grafana").iterdir():
        variables = {one["name"]: one for one in json.loads(path.read_text())["templating"]["list"]}
        assert 'up{job=~"kronos-api|staging"' in variables["job"]["definition"]


def test_the_kustomization_builds_beside_a_copy(tmp_path):
    shutil.copytree(FOLDER / "kubernetes", tmp_path / "kubernetes")
    (code,) = [code for code in YAML if "kind: Kustomization" in code]
    (tmp_path / "kustomization.yml").write_text(code)
    objects = {data["kind"]: data for data in kustomize.build(tmp_path)}
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    image = yaml.safe_load(code)["images"][0]
    assert container["image"] == f"{image['newName']}:{image['newTag']}"
    assert {one["name"] for one in container["env"]} == {"KRONOS_METRICS_PORT", "KRONOS_MODEL"}
    assert {"PodMonitor", "ScaledObject"} <= objects.keys()
    named = set(re.findall(r"^\| `([\w-]+)` \|", TEXT, re.MULTILINE))
    assert {folder.name for folder in (FOLDER / "kubernetes/components").iterdir()} <= named


def test_files_that_are_named_are_there():
    files = render(evaluate(mixin_path()))
    for name in re.findall(r"^\| `([\w./-]+\.(?:json|yml))`", TEXT, re.MULTILINE):
        assert name in files


def test_finished_pods_are_no_targets():
    jobs = [job for scrape in SCRAPES for job in yaml.safe_load(scrape)["scrape_configs"]]
    (pods,) = [job for job in jobs if "kubernetes_sd_configs" in job]
    dropped = [rule for rule in pods["relabel_configs"] if rule.get("action") == "drop"]
    assert [rule["source_labels"] for rule in dropped] == [["__meta_kubernetes_pod_phase"]]
    finished = [re.fullmatch(dropped[0]["regex"], phase) for phase in ("Succeeded", "Failed", "Running", "Pending")]
    assert [bool(match) for match in finished] == [True, True, False, False]


def test_commands_exist_with_their_options():
    code = "\n".join(code.replace("\\\n", "") for kind, code in CODE if kind == "sh")
    lines = [line.strip() for line in code.splitlines()]
    lines += re.findall(r"`(kronos-mixin [^`]+)`", TEXT)
    commands = [shlex.split(line) for line in lines if line.startswith("kronos-mixin ")]
    shown = {command[1] for command in commands}
    assert {"compile", "check", "merge", "unmerge", "drill", "vendor", "install", "update"} <= shown
    for _, *arguments in commands:
        name = [] if arguments[0].startswith("--") else arguments[:1]
        done = CliRunner().invoke(app, [*name, "--help"])
        assert done.exit_code == 0
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert option in done.stdout, f"{name} {option}"


def test_links_lead_somewhere():
    headings = {
        re.sub(r"[^\w -]", "", line).lower().replace(" ", "-")
        for line in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert target[1:] in headings if target.startswith("#") else (FOLDER / target).exists(), target
