"""Changes to any mixin in YAML."""

from __future__ import annotations

import json

import pytest
import yaml

BURNS = [
    {
        "alert": "LampBurns",
        "expr": "lamp:burn:ratio > 0.1",
        "for": "5m",
        "labels": {"severity": severity, "team": "a"},
        "annotations": {"summary": "burns"},
    }
    for severity in ("critical", "warning")
]
MIXIN = {
    "prometheusRules": {
        "groups": [
            {"name": "burn", "rules": [{"record": "lamp:burn:ratio", "expr": "a / b"}]},
            {"name": "rest", "rules": [{"record": f"lamp:{name}:sum", "expr": "sum(a)"} for name in ("on", "off")]},
            {"name": "astray", "rules": [{"alert": "LampAstray", "expr": "b > 0"}]},
        ]
    },
    "prometheusAlerts": {
        "groups": [
            {"name": "burns", "rules": BURNS},
            {
                "name": "dark",
                "rules": [{"alert": "LampDark", "expr": "absent({__name__=~'lamp:o.*:sum', job='$a'})"}],
            },
        ]
    },
    "grafanaDashboards": {
        "lamp.json": {"tags": ["old"], "panels": [{"title": "On", "targets": [{"expr": "lamp:on:sum{a='$b'}"}]}]},
        "new.json": {"spec": {"tags": ["old"], "elements": {}}},
    },
}


@pytest.fixture
def overlaid(call, tmp_path):
    (tmp_path / "mixin.libsonnet").write_text(json.dumps(MIXIN))

    def compiled(text: str, code: int = 0):
        (tmp_path / "mine.yml").write_text(text)
        return call("compile", "--mixin", "mixin.libsonnet", "--name", "lamp", "--overlay", "mine.yml", code=code)

    return compiled


def rules(tmp_path, kind="alerts"):
    """The rules by the name of their group."""
    data = yaml.safe_load((tmp_path / f"monitoring/prometheus/lamp-{kind}.yml").read_text())
    return {group["name"]: group["rules"] for group in data["groups"]}


def test_one_of_the_alerts_of_a_name_is_changed(overlaid, tmp_path):
    overlaid(
        """
        alerts:
          LampBurns:
            - match: {severity: critical}
              severity: page
              for: 90m
              keep_firing_for: 0
              labels: {tier: 2, team: null}
              annotations: {runbook_url: 'https://x/y', summary: null}
            - match: {severity: warning}
              labels: {severity: info}
        """
    )
    first, second = rules(tmp_path)["burns"]
    assert {**first, "expr": ""} == {
        "alert": "LampBurns",
        "expr": "",
        "for": "90m",
        "keep_firing_for": "0s",
        "labels": {"severity": "page", "tier": "2"},
        "annotations": {"runbook_url": "https://x/y"},
    }
    assert second["labels"] == {"severity": "info", "team": "a"}
    assert (second["for"], second["annotations"]) == ("5m", {"summary": "burns"})


def test_alerts_rules_and_dashboards_are_dropped(overlaid, tmp_path):
    dropped = "alerts: {LampDark: {enabled: false}}\nrules: {'lamp:off:sum': {enabled: false}}\n"
    overlaid(f"{dropped}dashboards: {{new: {{tags: [x]}}}}")
    assert list(rules(tmp_path)) == ["burns"]
    assert [rule["record"] for rule in rules(tmp_path, "rules")["rest"]] == ["lamp:on:sum"]
    assert "astray" in rules(tmp_path, "rules")
    new = next((tmp_path / "monitoring/grafana").rglob("*new.json"))
    assert json.loads(new.read_text())["spec"]["tags"] == ["x"]
    overlaid(
        "alerts: {LampBurns: {enabled: false}, LampAstray: {enabled: false}}\n"
        "dashboards: {new.json: {enabled: false}, lamp: {tags: []}}"
    )
    assert list(rules(tmp_path)) == ["dark"]
    assert list(rules(tmp_path, "rules")) == ["burn", "rest"]
    assert not new.exists()
    assert json.loads(next((tmp_path / "monitoring/grafana").rglob("*lamp.json")).read_text())["tags"] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alerts:\n  LampBurn: {enabled: false}", "mine.yml:2: no such alert: LampBurn. Did you mean LampBurns?"),
        (
            "alerts:\n  LampBurns: {sverity: a}",
            "mine.yml:2: LampBurns: sverity can't be changed. Did you mean severity?",
        ),
        ("alerts:\n  LampBurns:\n    expr: up", "mine.yml:3: LampBurns: expr can't be replaced here: "),
        ("alerts:\n  LampBurns: {threshold: 2}", "override it in Jsonnet"),
        ("alerts:\n  LampBurns:\n    for: 2x", 'mine.yml:3: LampBurns: for is "2x": must be a duration such as 15m'),
        ("alerts:\n  LampBurns: {for: 90}", "for is 90: must be a duration"),
        ("alerts:\n  LampBurns: {enabled: 'no'}", 'enabled is "no": must be true or false'),
        ("alerts:\n  LampBurns: {severity: 1}", "severity is 1: must be a text"),
        ("alerts:\n  LampBurns: {labels: a}", 'labels is "a": must be an object'),
        ("alerts:\n  LampBurns: {labels: {a-b: c}}", "'a-b' is no name of a label"),
        ("alerts:\n  LampBurns: {annotations: {a: [b]}}", 'annotations.a is ["b"]: must be a text'),
        ("alerts:\n  LampBurns: off", "LampBurns is false: must be an object"),
        (
            "alerts:\n  LampBurns:\n  - match: {severity: x}",
            'mine.yml:3: no LampBurns has the labels {"severity": "x"}: ',
        ),
        ("alerts: []", "alerts is []: must be an object"),
        ("alert: {}", "mine.yml:1: no such section: alert. Did you mean alerts?"),
        ("kronos: {}", "Knobs belong in a file for --config"),
        (
            "rules: {'lamp:of:sum': {enabled: false}}",
            "no such recording rule: lamp:of:sum. Did you mean lamp:off:sum?",
        ),
        ("rules: {'lamp:burn:ratio': {enabled: false}}", "lamp:burn:ratio is read by LampBurns: drop those, too"),
        ("rules: {'lamp:on:sum': {enabled: false}}", "lamp:on:sum is read by LampDark, lamp.json: drop those"),
        ("dashboards: {lam.json: {enabled: false}}", "no such dashboard: lam.json. Did you mean lamp.json?"),
        ("dashboards: {lamp.json: {tags: a}}", 'tags is "a": must be a list of texts'),
        ("alerts: [", "mine.yml:1: is not YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(overlaid, tmp_path, text, said):
    assert said in overlaid(text, code=1).stderr
    assert not (tmp_path / "monitoring").exists()


def test_all_that_is_wrong_is_said_at_once(overlaid):
    said = overlaid("alerts:\n  A: {}\n  LampBurns: {for: x}\ndashboards:\n  b: {}", code=1).stderr
    assert [f"mine.yml:{line}: " in said for line in (2, 3, 5)] == [True] * 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "alerts: {KronosHighErrorRate: {severity: info}}",
            "`kronos: {alerts: {KronosHighErrorRate: {severity: ...}}}`",
        ),
        ("alerts: {KronosHighErrorRate: {labels: {severity: info}}}", "severity is a knob of the Kronos mixin"),
        ("alerts: {KronosErrorBudgetBurn: {keep_firing_for: 1m}}", "{keepFiringFor: ...}}}` in a file for --config"),
        ("alerts: {KronosErrorBudgetBurn: {for: 1m}}", "for is a knob of the Kronos mixin: set that in a file"),
        ("dashboards: {kronos-slo: {enabled: false}}", "`kronos: {dashboards: {slo: {enabled: ...}}}`"),
        ("dashboards: {kronos-slo: {tags: []}}", "`kronos: {dashboards: {tags: [...]}}`"),
    ],
)
def test_what_is_a_knob_is_set_as_one(call, tmp_path, text, said):
    (tmp_path / "mine.yml").write_text(text)
    assert said in call("compile", "--overlay", "mine.yml", code=1).stderr


def test_an_overlay_is_remembered_and_checked(overlaid, call, tmp_path):
    """By merge, and by the check for drift."""
    overlaid("alerts: {LampDark: {labels: {team: quant}}}")
    mixin = ("--mixin", "mixin.libsonnet", "--name", "lamp")
    assert "nothing found" in call("check", *mixin, "--overlay", "mine.yml").stdout
    assert "lamp-alerts.yml: is not what the mixin compiles to" in call("check", *mixin, code=1).stdout
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    merge = ("merge", "prometheus.yml", *mixin, "--yes")
    call(*merge, "--overlay", "mine.yml")
    alerts = tmp_path / "kronos-mixin/lamp-alerts.yml"
    assert "team: quant" in alerts.read_text()
    assert "nothing to do" in call(*merge).stdout
    (tmp_path / "mine.yml").rename(tmp_path / "moved.yml")
    assert "was merged with --overlay" in call(*merge, code=1).stderr
    call(*merge, "--no-config")
    assert "team: quant" not in alerts.read_text()


def test_what_jsonnet_gets_from_outside_is_remembered(call, tmp_path, monkeypatch):
    (tmp_path / "mixin.libsonnet").write_text(
        "function(team, hours=1) { prometheusAlerts: { groups: [{ name: 'a', rules: [{ alert: 'A',"
        " expr: 'up == %d' % hours, labels: { team: team, site: std.extVar('site') } }] }] } }"
    )
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    monkeypatch.setenv("team", "o'quant")
    merge = ("merge", "prometheus.yml", "--mixin", "mixin.libsonnet", "--name", "f", "--yes")
    outside = ("--tla-str", "team", "--tla-code", "hours=1 + 1", "--ext-code", "site='a' + 'b'")
    call(*merge, *outside)
    text = (tmp_path / "kronos-mixin/f-alerts.yml").read_text()
    assert all(part in text for part in ("up == 2", "team: o'quant", "site: ab"))
    assert "nothing to do" in call(*merge).stdout
    check = ("check", "--mixin", "mixin.libsonnet", "--name", "f")
    assert "nothing found" in call(*check, *outside).stdout
    for options, said in (
        (outside[:-2], "give it: --ext-str NAME=VALUE, or --ext-code"),
        (outside[2:], "--tla-str NAME=VALUE"),
        ((*outside, "--tla-str", "x=1"), "no parameter x"),
    ):
        assert said in call(*check, *options, code=1).stderr
    assert "the environment has no nothing" in call(*check, "--ext-str", "nothing", code=2).stderr
