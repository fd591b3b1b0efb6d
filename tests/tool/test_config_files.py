"""What users lay over the configuration, and what they are told when it is wrong."""

from __future__ import annotations

import json

import _jsonnet
import pytest

from kronos_mixin import schema
from kronos_mixin.config import ConfigError, overlay, read
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import CompileError, evaluate

KNOWN = {"kronos": evaluate(mixin_path()).config}

NOTHING = """{
    prometheusRules:: {}, prometheusAlerts:: {}, prometheusScrapeConfigs:: [],
    grafanaDashboards:: {}, alertmanagerConfig:: {}, kubernetesManifests:: {}, prometheusCentralAlerts:: {},
    serviceLevelObjectives:: [],
}"""


@pytest.fixture
def laid(tmp_path):
    """The mixin's configuration under a file of that name and text; without rules and dashboards, to be quick."""
    folder = tmp_path / "mixin"
    folder.mkdir()
    (folder / "metrics.json").write_text("{}")
    (folder / "config.libsonnet").write_text(f"import '{mixin_path()}/config.libsonnet'")
    (folder / "mixin.libsonnet").write_text(
        f"(import 'config.libsonnet') + {NOTHING} + (import '{mixin_path()}/lib/strict.libsonnet')"
    )

    def laid(name, text):
        path = tmp_path / name
        path.write_text(text)
        return evaluate(folder, read(path)).config

    return laid


@pytest.mark.parametrize("number", ["0.005", "1e-2", "0.10", "5"])
def test_a_number_without_quotes_becomes_a_text_as_it_was_written(laid, number):
    config = laid("a.yml", f"kronos: {{alerts: {{KronosRestarting: {{threshold: {number}}}}}}}")
    assert config["alerts"]["KronosRestarting"]["threshold"] == number


def test_jsonnet_and_yaml_say_the_same(laid):
    assert laid("a.libsonnet", "{ kronos+: { rateWindow: '1m', alertLabels: { team: 'x' } } }") == laid(
        "a.yml", "kronos: {rateWindow: 1m, alertLabels: {team: x}}"
    )
    assert laid("a.json", '{"kronos": {"aggregationLabels": ["pod"]}}')["aggregationLabels"] == ["pod"]
    assert laid("empty.yml", "# nothing")["rateWindow"] == "5m"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.yml",
            "kronos:\n  rateWindw: 1m",
            "a.yml:2: No such knob: _config.kronos.rateWindw. Did you mean rateWindow?",
        ),
        ("a.yml", "_config: {kronos: {job: a}}", "a.yml:1: leave out `_config:` and write what is below it"),
        ("a.yml", "kronso: {}", "a.yml:1: No such knob: _config.kronso. Did you mean kronos?"),
        ("a.yml", "kronos: {alerts: {KronosHighErrorRat: {}}}", "Did you mean KronosHighErrorRate?"),
        ("a.yml", "kronos: {alerts: 1}", 'a.yml:1: _config.kronos.alerts is "1": must be an object'),
        ("a.yml", "kronos: {rateWindow: {a: 1}}", '_config.kronos.rateWindow is {"a": "1"}: must be a duration'),
        ("a.yml", "kronos: {scrape: {zzz: 1}}", "_config.kronos.scrape.zzz. There are: authorization, discovery,"),
        ("a.libsonnet", "{ kronos+: { rateWindw: '1m' } }", "_config.kronos.rateWindw. Did you mean rateWindow?"),
        ("a.libsonnet", "{ kronos: { rateWindow: '1m' } }", "write `kronos+:`, not `kronos:`"),
        ("a.libsonnet", "{ kronos+: { rateWindow: x } }", "a.libsonnet:1:26: unknown variable: x"),
    ],
)
def test_a_knob_that_does_not_exist(laid, name, text, message):
    with pytest.raises(CompileError) as caught:
        laid(name, text)
    assert message in str(caught.value)


WRONG = {
    "rateWindow: 5 min": 'rateWindow is "5 min": must be a duration such as 5m, longer than 0s',
    "rateWindow: 5x": "a duration",
    "rateWindow: 5": "a duration",
    "rateWindow: ''": "a duration",
    "rateWindow: 0s": "longer than 0s",
    "rateWindow: 5m1h": "a duration",
    "rateWindow: true": "rateWindow is true: must be a duration",
    "rateWindow: [5m]": 'rateWindow is ["5m"]: must be a duration',
    "rateWindow: null": "rateWindow is null",
    "rateWindow:": "rateWindow is null",
    "alerts: {KronosServiceDown: {for: 1 m}}": "KronosServiceDown.for is",
    "alerts: {KronosServiceDown: {window: 0m}}": "longer than 0s",
    "alerts: {KronosServiceDown: {enabled: 'yes'}}": 'enabled is "yes": must be true or false, without quotes',
    "alerts: {KronosServiceDown: {enabled: 1}}": "must be true or false",
    "alerts: {KronosServiceDown: {severity: page}}": 'severity is "page": must be one of critical, warning, info',
    "alerts: {KronosServiceDown: {severity: no}}": "severity is false: must be one of",
    "alerts: {KronosServiceDown: {severity: [critical]}}": "must be one of",
    "alerts: {KronosServiceDown: {threshold: 50%}}": "must be a share from 0 to 1",
    "alerts: {KronosServiceDown: {threshold: 50}}": "must be a share from 0 to 1",
    "alerts: {KronosServiceDown: {threshold: -0.5}}": "must be a share from 0 to 1",
    "alerts: {KronosRestarting: {threshold: many}}": "must be a number such as 3",
    "alerts: {KronosRestarting: {threshold: 0x10}}": 'threshold is "0x10": must be a number',
    "alerts: {KronosRestarting: {threshold: 1_0}}": "must be a number",
    "alerts: {KronosRestarting: {threshold: 1:30}}": "must be a number",
    "alerts: {KronosServiceDown: critical}": 'KronosServiceDown is "critical": must be an object',
    "objectives: {availability: {target: 1}}": 'target is "1": must be a share above 0 and below 1',
    "objectives: {availability: {target: 99.5}}": "above 0 and below 1",
    "objectives: {latency: {seconds: {/v1/predict/single: 6}}}": "a bucket of kronos_request_duration_seconds: 0.0",
    "objectives: {latency: {seconds: {/v1/predict: '5.0'}}}": "No such knob: _config.kronos.objectives.latency.",
    "objectives: {burn: {long: 1h}}": 'burn is {"long": "1h"}: must be a list, such as [',
    "objectives: {burn: [1h]}": 'burn[0] is "1h": must be an object',
    "objectives: {burn: [{long: 1h}]}": "burn[0] has no factor, for, severity, short",
    "objectives: {burn: [{lang: 1h}]}": "No such knob: _config.kronos.objectives.burn[0].lang. Did you mean long?",
    "objectives: {burn: [{long: 1, short: 5m, factor: '6', for: 1m, severity: info}]}": 'burn[0].long is "1"',
    "aggregationLabels: cluster": 'must be a list, such as ["cluster", "namespace"]',
    "aggregationLabels: [my-label]": 'aggregationLabels[0] is "my-label": must be a label name',
    "aggregationLabels: [1st]": "must be a label name",
    "expectedTargets: {job: a}": "must be a list",
    "expectedTargets: [a]": 'expectedTargets[0] is "a": must be an object',
    "expectedTargets: [{job: [a]}]": 'expectedTargets[0].job is ["a"]: must be text',
    "expectedTargets: [{the-job: a}]": "'the-job' is no label name",
    "requests: {failedStatuses: [eror]}": "must be one of success, invalid",
    "alertLabels: {the-team: a}": "alertLabels.the-team: 'the-team' is no label name",
    "alertLabels: {team: true}": "alertLabels.team is true: must be text",
    "alertLabels: [team]": "must be an object",
    "alertAnnotations: {team: {a: b}}": "must be text",
    "runbookURL: runbooks.example.com": "must be an address that begins with https:// or http://",
    "dashboardURL: ''": "must be an address",
    "selector: forecasts": 'selector is "forecasts": must be label matchers such as job="kronos-api"',
    "selector: ''": "must be label matchers",
    "selector: '{job=\"a\"}'": "must be label matchers",
    "selector: 'job=\"kronos-api\",'": "must be label matchers",
    "selector: 'job=~\"(\"'": "must be label matchers",
    'selector: \'job="a"} or up{job="b"\'': "must be label matchers",
    "loki: {selector: kronos}": "must be label matchers",
    "job: ''": "must be a name",
    "job: 'a\"b'": "must be a name, without quotes and backslashes",
    "scrape: {targets: 'localhost:8000'}": "must be a list",
    "scrape: {targets: ['http://localhost:8000']}": 'targets[0] is "http://localhost:8000": must be an address',
    "dashboards: {period: 1h}": "must be a time such as now-1h",
    "dashboards: {refresh: often}": "must be a duration such as 30s, longer than 0s, or empty",
    "dashboards: {overview: {uid: ''}}": "must be text, not empty",
}


def said_of(tmp_path, text):
    path = tmp_path / "a.yml"
    path.write_text(f"kronos:\n  {text}\n")
    return schema.problems(KNOWN, KNOWN, [read(path)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rateWindow: 59s", "a.yml:1: _config.kronos.rateWindow is 59s: must hold 4 scrapes, which are 15s apart"),
        ("scrape: {interval: 5m}", "a.yml:1: _config.kronos.scrape.interval is 5m: must be at most 2m30s"),
        (
            "scrape: {interval: 2m}",
            "_config.kronos.rateWindow is 5m: must hold 4 scrapes, which are 2m apart, and so",
        ),
        ("evaluationInterval: 3m", "evaluationInterval is 3m: must be at most 2m30s"),
        ("rateWindow: 1m, evaluationInterval: 40s", "must hold 2 evaluations of rules, which are 40s apart"),
        ("scrape: {interval: 5s}", "scrape.timeout is 10s: must be at most scrape.interval, which is 5s"),
    ],
)
def test_windows_that_hold_too_few_samples(laid, text, message):
    with pytest.raises(CompileError) as caught:
        laid("a.yml", f"kronos: {{{text}}}")
    assert message in str(caught.value)


@pytest.mark.parametrize("labels", [["cluster", "job"], ["cluster", "route"], ["cluster", "cluster"]])
def test_an_aggregation_label_that_is_there_already(labels):
    (said,) = schema.problems(KNOWN, {"kronos": {**KNOWN["kronos"], "aggregationLabels": labels}})
    assert said.startswith(
        f'_config.kronos.aggregationLabels[1] is "{labels[1]}": must be a label that is not in use'
    )


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_value_is_told_with_its_place_and_what_is_allowed(tmp_path, text):
    said = said_of(tmp_path, text)
    assert WRONG[text] in said[0]
    for line in said:
        assert line.startswith((f"{tmp_path}/a.yml:2: _config.kronos.", f"{tmp_path}/a.yml:2: No such knob: "))


@pytest.mark.parametrize(
    "text",
    [
        "rateWindow: 1h30m",
        "alerts: {KronosServiceDown: {for: 0s, threshold: 1, enabled: no}}",
        "alerts: {KronosRestarting: {threshold: 1e3}}",
        "aggregationLabels: []",
        "alertLabels: {team: 5}",
        "job: 5",
        "dashboards: {refresh: '', period: now-1d/d, folder: ''}",
        "scrape: {targets: ['forecasts-1:8000', '10.0.0.1:80', '[::1]:8000']}",
        "runbookURL: http://wiki/{alert}",
    ],
)
def test_a_value_that_is_right_is_not_refused(tmp_path, text):
    assert said_of(tmp_path, text) == []


def test_defaults_are_what_they_demand():
    assert schema.problems(KNOWN, KNOWN) == []


def test_everything_that_is_wrong_is_told_at_once(laid):
    text = "kronos:\n  rateWindow: 5 min\n  rateWindw: 1m\n  alerts:\n    KronosHighLatency: {enabled: 1, for: 1}\n"
    with pytest.raises(CompileError) as caught:
        laid("a.yml", text)
    assert [line.partition("a.yml")[2].partition(": ")[0] for line in str(caught.value).splitlines()] == [
        ":2", ":3", ":5", ":5"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rateWindow: '5 min'", 'a.libsonnet:3: _config.kronos.rateWindow is "5 min": must be a duration'),
        ("rateWindow: 5", "a.libsonnet:3: _config.kronos.rateWindow is 5: must be a duration"),
        (
            "alerts+: {\n'KronosServiceDown'+: { threshold: 0.05 } }",
            "a.libsonnet:4: _config.kronos.alerts.KronosServiceDown.threshold is the number 0.05: must be a text",
        ),
        ("alerts+: { KronosServiceDown+: { enabled: 'true' } }", "must be true or false"),
        ("job: null", "a.libsonnet:3: _config.kronos.job is null"),
        ("aggregationLabels+: ['a-b']", "a.libsonnet:3: _config.kronos.aggregationLabels[2] is"),
    ],
)
def test_jsonnet_is_held_to_the_same(laid, text, message):
    with pytest.raises(CompileError) as caught:
        laid("a.libsonnet", f"{{\n  kronos+: {{\n{text}\n}} }}")
    assert message in str(caught.value)


BLIND = {
    "selector: 'job=\"forecasts\"'": 'scrape.job (job="kronos-api")',
    "selector: 'job=~\"fore.*|kronos\"'": 'scrape.job (job="kronos-api")',
    'selector: \'env="prod", job!="kronos-api"\'': 'scrape.job (job="kronos-api")',
    "selector: 'job!~\"kronos-.+\"'": 'scrape.job (job="kronos-api")',
    "scrape: {job: forecasts}": 'scrape.job (job="forecasts")',
    "expectedTargets: [{job: kronos-api}, {job: forecasts}]": 'expectedTargets[1] (job="forecasts")',
    "{selector: 'cluster=\"a\"', expectedTargets: [{cluster: b, job: x}]}": 'expectedTargets[0] (cluster="b", ',
}
SEEING = [
    "job: forecasts",
    "selector: 'cluster=\"a\"'",
    "{selector: 'job=~\"kronos-.*\"', expectedTargets: [{job: kronos-api, cluster: a}, {job: kronos-b}]}",
    'selector: \'job!="", env=~"a|b"\'',
    "{selector: 'job=\"x\"', scrape: {job: x}, expectedTargets: [{job: x}]}",
    "expectedTargets: []",
    # Not a regular expression to Python: it may match.
    "selector: 'job=~\"\\\\pL+.*\"'",
]


@pytest.mark.parametrize("text", BLIND)
def test_a_selector_that_matches_nothing_of_ours_is_refused(laid, text):
    with pytest.raises(CompileError) as caught:
        laid("a.yml", f"kronos: {text if text[0] == '{' else '{' + text + '}'}")
    said = str(caught.value)
    assert f"never matches _config.kronos.{BLIND[text]}" in said
    assert "rules and dashboards would read nothing of it" in said
    assert "Set _config.kronos.job instead" in said
    assert "selector" not in text or "a.yml:1: " in said


@pytest.mark.parametrize("text", SEEING)
def test_a_selector_that_may_match_is_not_refused(laid, text):
    assert laid("a.yml", f"kronos: {text if text[0] == '{' else '{' + text + '}'}")["selector"]


UNTOLD = 'selector: \'env=~"prod,test", pod="a"\', expectedTargets: []'


def test_a_selector_that_recorded_series_cannot_keep_is_refused(laid):
    with pytest.raises(CompileError, match=r"a.yml:1: .*must match one of job, cluster, namespace\."):
        laid("a.yml", f"kronos: {{{UNTOLD}}}")
    snippet = f"(import '{mixin_path()}/mixin.libsonnet') + {{ _config+:: {{ kronos+: {{ {UNTOLD} }} }} }}"
    with pytest.raises(RuntimeError, match="it must match job or one of aggregationLabels"):
        _jsonnet.evaluate_snippet("x", f"({snippet}).prometheusRules")
    assert laid("a.yml", f"kronos: {{{UNTOLD}, aggregationLabels: [env]}}")


@pytest.mark.parametrize("text", ["selector: 'job=\"x\"'", "rateWindow: 5", "rateWindw: '5m'"])
def test_the_mixin_refuses_it_without_this_tool_too(text):
    snippet = f"(import '{mixin_path()}/mixin.libsonnet') + {{ _config+:: {{ kronos+: {{ {text} }} }} }}"
    outputs = set(json.loads(_jsonnet.evaluate_snippet("x", f"std.objectFieldsAll({snippet})")))
    outputs -= {"_config", "kronosDefaults", "kronosStrict", "grafanaDashboardFolder"}
    assert {"grafanaDashboards", "prometheusAlerts", "prometheusRules"} < outputs
    for output in outputs:
        with pytest.raises(RuntimeError, match=r"_config\.kronos\."):
            _jsonnet.evaluate_snippet("x", f"({snippet}).{output}")


@pytest.mark.parametrize("command", ["compile", "check", "merge"])
def test_every_command_refuses_before_it_writes(call, tmp_path, command):
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    for text in ("alerts: {KronosServiceDown: {for: 5 min}}", "selector: 'job=\"forecasts\"'"):
        (tmp_path / "mine.yml").write_text(f"kronos:\n  {text}\n")
        done = call(command, *["prometheus.yml"][: command == "merge"], "--config", "mine.yml", code=1)
        assert done.stderr.startswith("kronos-mixin: mine.yml:2: _config.kronos.")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yml", "prometheus.yml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kronos: {a: 1, a: 2}", "a appears twice"),
        ("kronos: {yes: 1}", "a.yml:1: kronos: key True is no text: quote it"),
        ("kronos:\n  a: .inf", "a.yml:2: kronos.a: inf is no number that Jsonnet knows"),
        ("kronos: {a: [\n2026-01-01]}", "a.yml:2: kronos.a.0: 2026-01-01 is no text"),
        ("a: &a [*a]", "has a YAML alias that contains itself"),
        ("a: !!python/object:os.system {}", "is not YAML"),
        ("- a", "must hold an object laid over _config"),
        ("# two\na: b: c", "a.yml:2: is not YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 1", "is not YAML"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, message):
    (tmp_path / "a.yml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "a.yml")
    assert message in str(caught.value)
    assert str(tmp_path / "a.yml") in str(caught.value)


def test_files_that_are_none(tmp_path):
    (tmp_path / "a.yml").write_bytes(b"\xff\xfe")
    for name, message in (("a.yml", "is not UTF-8"), ("b.yml", "No such file"), ("b.libsonnet", "No such file")):
        with pytest.raises(ConfigError, match=message):
            read(tmp_path / name)


def test_overlay():
    assert overlay({"a": {"b": "c"}, "d": [1, None, True]}) == '{"a"+: {"b": "c"}, "d": [1, null, true]}'
