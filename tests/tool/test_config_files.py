"""What users lay over the configuration, and what they are told when it is wrong."""

from __future__ import annotations

import pytest

from kronos_mixin.config import ConfigError, overlay, read
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import CompileError, evaluate


@pytest.fixture
def laid(tmp_path):
    """The mixin's configuration under a file of that name and text; without rules and dashboards, to be quick."""
    folder = tmp_path / "mixin"
    folder.mkdir()
    (folder / "metrics.json").write_text("{}")
    (folder / "config.libsonnet").write_text(f"import '{mixin_path()}/config.libsonnet'")
    (folder / "mixin.libsonnet").write_text(
        f"(import 'config.libsonnet') + (import '{mixin_path()}/lib/strict.libsonnet')"
    )

    def laid(name, text):
        path = tmp_path / name
        path.write_text(text)
        return evaluate(folder, read(path)).config

    return laid


@pytest.mark.parametrize("number", ["0.005", "1e-2", "0.10", "5", "1_0", "0x10", "1:30"])
def test_a_number_without_quotes_becomes_a_text_as_it_was_written(laid, number):
    config = laid("a.yml", f"kronos: {{alerts: {{KronosHighErrorRate: {{threshold: {number}}}}}}}")
    assert config["alerts"]["KronosHighErrorRate"]["threshold"] == number


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
        ("a.yml", "kronso: {}", "a.yml:1: No such knob: _config.kronso. Did you mean kronos?"),
        ("a.yml", "kronos: {alerts: {KronosHighErrorRat: {}}}", "Did you mean KronosHighErrorRate?"),
        ("a.yml", "kronos: {alerts: 1}", "a.yml:1: _config.kronos.alerts must be an object"),
        ("a.yml", "kronos: {rateWindow: {a: 1}}", "_config.kronos.rateWindow must be no object"),
        ("a.yml", "kronos: {scrape: {zzz: 1}}", "_config.kronos.scrape.zzz. There are: interval, job,"),
        ("a.libsonnet", "{ kronos+: { rateWindw: '1m' } }", "_config.kronos.rateWindw. Did you mean rateWindow?"),
        ("a.libsonnet", "{ kronos: { rateWindow: '1m' } }", "write `kronos+:`, not `kronos:`"),
        ("a.libsonnet", "{ kronos+: { rateWindow: x } }", "a.libsonnet:1: Unknown variable: x"),
    ],
)
def test_a_knob_that_does_not_exist(laid, name, text, message):
    with pytest.raises(CompileError) as caught:
        laid(name, text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kronos: {a: 1, a: 2}", "a stands twice"),
        ("kronos: {yes: 1}", "key True is no text: quote it"),
        ("kronos: {a: .inf}", "kronos.a: inf is no number that Jsonnet knows"),
        ("kronos: {a: [2026-01-01]}", "kronos.a.0: 2026-01-01 is no text"),
        ("a: &a [*a]", "holds an alias inside of what it stands for"),
        ("a: !!python/object:os.system {}", "is not YAML"),
        ("- a", "must hold an object laid over _config"),
        ("a: b: c", "is not YAML"),
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
