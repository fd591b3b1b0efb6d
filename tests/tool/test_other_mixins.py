"""Mixins of other people, in the community's layout."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import yaml

from kronos_mixin.jsonnet import CompileError, evaluate, name_of


def test_hidden_fields_are_compiled(call, fixtures, tmp_path):
    done = call("compile", "--mixin", fixtures / "lamp-mixin")
    assert done.stdout.splitlines() == [
        "monitoring/grafana/lamp/lamp.json",
        "monitoring/prometheus/lamp-rules.yml",
        "monitoring/prometheus/lamp-alerts.yml",
    ]
    rules = yaml.safe_load((tmp_path / "monitoring/prometheus/lamp-rules.yml").read_text())
    assert rules["groups"][0]["rules"][1] == {"record": "job:lamp_limit:max", "expr": "10"}
    assert json.loads((tmp_path / "monitoring/grafana/lamp/lamp.json").read_text())["title"] == "Lamps"


def test_absent_fields_and_a_vendored_library(call, fixtures, tmp_path):
    call("compile", "--mixin", fixtures / "kettle-mixin" / "mixin.libsonnet", "--output", "out", "--name", "pot")
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.*")) == ["kettle.json", "pot-alerts.yml", "pot.sha256"]


def test_jpath_goes_before_vendor_and_its_last_folder_wins(call, fixtures, tmp_path):
    for folder in "ab":
        (tmp_path / folder / "boards").mkdir(parents=True)
        text = f"{{ board(title, panels):: {{ title: '{folder}' }}, panel(title, expr):: {{}} }}"
        (tmp_path / folder / "boards/boards.libsonnet").write_text(text)
    call("compile", "--mixin", fixtures / "kettle-mixin", "--jpath", "a", "--jpath", "b")
    assert json.loads((tmp_path / "monitoring/grafana/kettle/kettle.json").read_text()) == {"title": "b"}


def test_config_of_other_mixins(call, fixtures, tmp_path):
    (tmp_path / "a.yml").write_text("burnHours: 0.05\nlampSelector: 'job=\"bulb\"'\n")
    (tmp_path / "b.jsonnet").write_text("{ lampSelector: 'cluster=\"eu\", ' + super.lampSelector }")
    call("compile", "--mixin", fixtures / "lamp-mixin", "--config", "a.yml", "--config", "b.jsonnet")
    text = (tmp_path / "monitoring/prometheus/lamp-alerts.yml").read_text()
    # The number takes the kind of what it replaces, or it would come out as 0.050000000000000003.
    assert 'lamp_hours{cluster="eu",job="bulb"} > 0.05 ' in text


def test_several_mixins_share_a_folder(call, fixtures, tmp_path):
    call("compile", "--mixin", fixtures / "lamp-mixin")
    call("compile", "--mixin", fixtures / "kettle-mixin", "--target", "plain", "--target", "kubernetes")
    call("compile", "--mixin", fixtures / "kettle-mixin", "--target", "plain")
    assert sorted(p.name for p in (tmp_path / "monitoring").rglob("*.*")) == [
        "kettle-alerts.yml", "kettle.json", "kettle.sha256",
        "lamp-alerts.yml", "lamp-rules.yml", "lamp.json", "lamp.sha256",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("vendor/github.com/prometheus/node_exporter/docs/node-mixin", "node"),
        ("etcd/contrib/mixin/mixin.libsonnet", "etcd"),
        ("some where/my_mixin", "my"),
        ("alone.libsonnet", "alone"),
    ],
)
def test_a_name_for_the_files(tmp_path, path, name):
    assert name_of(tmp_path / path) == name


def mixin(tmp_path, text, **files):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "mixin.libsonnet").write_text(text)
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_libsonnet", ".libsonnet")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "{\n  prometheusAlerts+:: { groups: [oops] },\n}",
            ["mixin.libsonnet:2:34: unknown variable: oops", "| prometheus"],
        ),
        (
            "{\n  grafanaDashboards:: {\n    a: 1\n    b: 2\n  }\n}",
            ["mixin.libsonnet:4:5: expected a comma", "hint: "],
        ),
        (
            "import 'grafonnet/grafonnet.libsonnet'",
            ["mixin.libsonnet:1:1: couldn't open import", "hint: install", "--jpath"],
        ),
        (
            "{ prometheusRules: { groups: ['%d' % 'x'] } }",
            ["mixin.libsonnet:1:31: Format required number", "the `%` of"],
        ),
        (
            "{\n  local a = b, local b = a,\n  grafanaDashboards: a }",
            ["max stack frames exceeded", "hint: two files"],
        ),
        (
            "{ grafanaDashboards: { 'a.json': {}.panels } }",
            ["mixin.libsonnet:1:34: field does not exist: panels", "hint:"],
        ),
        ("{ grafanaDashboards: { 'a.json': function(x) x } }", ["couldn't manifest function", "hint: a function"]),
        ("(import 'lib/boards.libsonnet').board(self)", ["mixin.libsonnet:1:39: "]),
        ("[]", ["object"]),
        (
            "{ prometheusRules: [] }",
            ["prometheusRules is an array: prometheusRules must be an object with a list `groups`"],
        ),
        ("{ prometheusRules: { groups: [{ rules: [] }] } }", ["prometheusRules.groups[0] is not of the shape"]),
        (
            "{ prometheusRules: { groups: [{ name: 'a', rules: [{}] }] } }",
            ["prometheusRules: group a: rules[0] has no name"],
        ),
        ("{ grafanaDashboards: ['a'] }", ["grafanaDashboards is an array"]),
        ("{ grafanaDashboards: { '../a.json': {} } }", ["'../a.json' is no plain file name"]),
        ("{}", ["nothing to compile"]),
    ],
)
def test_an_error_is_one_readable_message(call, tmp_path, text, lines):
    done = call("compile", "--mixin", mixin(tmp_path, text), code=1)
    for line in lines:
        assert line in done.stderr
    assert "Traceback" not in done.stderr
    assert "command line)" not in done.stderr
    assert not (tmp_path / "monitoring").exists()


def test_an_error_in_a_library_names_the_place_that_led_there(tmp_path):
    own = mixin(
        tmp_path,
        "local lib = import 'lib.libsonnet';\n{\n  grafanaDashboards:: { 'a.json': lib.board(null) },\n}",
        vendor__lib_libsonnet="{\n  board(options)::\n    { title: options.title },\n}",
    )
    with pytest.raises(CompileError) as caught:
        evaluate(own)
    first, second, third = str(caught.value).splitlines()[:3]
    assert "vendor/lib.libsonnet:3:14: " in first
    assert "reached from" in second
    assert second.endswith("own/mixin.libsonnet:3:35")
    assert third == "  | grafanaDashboards:: { 'a.json': lib.board(null) },"


def test_what_is_no_mixin(call, tmp_path):
    assert "there is no such file or folder" in call("compile", "--mixin", "none", code=1).stderr
    (tmp_path / "empty").mkdir()
    assert "holds no mixin.libsonnet" in call("compile", "--mixin", "empty", code=1).stderr
    done = call("compile", "--mixin", "empty", "--jpath", "nowhere", code=1)
    assert "Traceback" not in done.stderr


def test_a_mixin_in_a_vendor_folder_finds_its_neighbours(fixtures, tmp_path):
    shutil.copytree(fixtures / "kettle-mixin", tmp_path / "vendor/kettle-mixin", ignore=lambda *_: ["vendor"])
    shutil.copytree(fixtures / "kettle-mixin/vendor/boards", tmp_path / "vendor/boards")
    assert evaluate(tmp_path / "vendor/kettle-mixin").dashboards["kettle.json"]["title"] == "Kettles"


def test_mixins_do_not_overwrite_each_other(call, tmp_path):
    """Their dashboards may have the same name, an alert's group too; a folder of Grafana's is part of the path."""
    for name, folder in (("lamp", "Light / Room"), ("fan", "")):
        (tmp_path / f"{name}-mixin").mkdir()
        (tmp_path / f"{name}-mixin/mixin.libsonnet").write_text(
            f"{{ grafanaDashboardFolder:: '{folder}', grafanaDashboards:: {{ logs: {{ title: '{name}' }},"
            f" '{name}-Übersicht.json': '{{}}', '{name}-übersicht.json': {{}} }}, prometheusAlerts:: {{ groups: ["
            " { name: 'a', rules: [{ alert: 'A', expr: 0 }] }, { name: 'none', rules: null }] } }"
        )
        call("compile", "--mixin", f"{name}-mixin", "--target", "plain", "--target", "kubernetes")
    titles = {
        path: json.loads(path.read_text()).get("title") for path in tmp_path.glob("monitoring/grafana/**/logs.json")
    }
    assert {str(path.relative_to(tmp_path / "monitoring/grafana")): title for path, title in titles.items()} == {
        "lamp/Light - Room/logs.json": "lamp",
        "fan/logs.json": "fan",
    }
    maps = [yaml.safe_load(path.read_text()) for path in tmp_path.glob("monitoring/kubernetes/*.configmap.yml")]
    keys = [key for one in maps for key in one["data"]]
    names = [one["metadata"]["name"] for one in maps]
    assert len(maps) == len(set(keys)) == len(set(names)) == 6
    assert {"lamp-logs.json", "fan-logs.json"} < set(keys)
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in keys)
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name) for name in names)
    folders = {one["metadata"].get("annotations", {}).get("grafana_folder") for one in maps}
    assert folders == {"Light / Room", None}


def test_a_file_is_said_to_be_whose_it_is(call, tmp_path):
    (tmp_path / "a.libsonnet").write_text("{ grafanaDashboards:: { a: {}, 'a.json': {} } }")
    assert "grafanaDashboards has both a and a.json" in call("compile", "--mixin", "a.libsonnet", code=1).stderr
    text = "{ prometheusAlerts:: { groups: [{ name: 'a', rules: [{ alert: 'A', expr: '0' }] }] } }"
    (tmp_path / "a.libsonnet").write_text(text)
    call("compile", "--mixin", "a.libsonnet")
    path = tmp_path / "monitoring/prometheus/a-alerts.yml"
    path.write_text(path.read_text().replace("mixin a by", "mixin b by"))
    (tmp_path / "monitoring/a.sha256").rename(tmp_path / "monitoring/b.sha256")
    said = call("compile", "--mixin", "a.libsonnet", code=1).stderr
    assert "a-alerts.yml: is of the mixin b, and a would replace it: give one of them another --name" in said
    path.write_text("groups: []")
    (tmp_path / "monitoring/b.sha256").unlink()
    assert "was not written by this program" in call("compile", "--mixin", "a.libsonnet", code=1).stderr


def test_two_mixins_of_one_name_are_not_one(call, tmp_path):
    for team in "ab":
        (tmp_path / team / "lamp-mixin").mkdir(parents=True)
        (tmp_path / team / "lamp-mixin/mixin.libsonnet").write_text(f"{{ grafanaDashboards:: {{ {team}: {{}} }} }}")
    call("compile", "--mixin", "a/lamp-mixin")
    call("compile", "--mixin", "a/lamp-mixin/mixin.libsonnet")
    said = call("compile", "--mixin", "b/lamp-mixin", code=1).stderr
    assert (
        "lamp.sha256: says that lamp was compiled from ../a/lamp-mixin/mixin.libsonnet, and now it is ../b/" in said
    )
    assert (tmp_path / "monitoring/grafana/lamp/a.json").exists()
    call("compile", "--mixin", "b/lamp-mixin", "--name", "other")
    (tmp_path / "a/lamp-mixin").rename(tmp_path / "moved-mixin")
    (tmp_path / "monitoring/lamp.sha256").unlink()
    call("compile", "--mixin", "moved-mixin", "--name", "lamp")
    assert sorted(path.name for path in tmp_path.glob("monitoring/grafana/*/*.json")) == ["a.json", "b.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("burnHour: 5", "mine.yml:1: No such knob: _config.burnHour. Did you mean burnHours?"),
        ("# mine\n_config: {burnHours: 5}", "mine.yml:2: leave out `_config:` and write what is below it"),
    ],
)
def test_a_knob_that_does_not_exist(call, fixtures, tmp_path, text, said):
    (tmp_path / "mine.yml").write_text(text)
    assert said in call("compile", "--mixin", fixtures / "lamp-mixin", "--config", "mine.yml", code=1).stderr
    # Jsonnet may know better.
    (tmp_path / "mine.libsonnet").write_text("{ burnHour: 5 }")
    call("compile", "--mixin", fixtures / "lamp-mixin", "--config", "mine.libsonnet")


def test_a_mixin_that_is_no_object(call, tmp_path):
    for text, said in (
        ("[]", "list.libsonnet: is no object but of the type array"),
        ("function(a) {}", "list.libsonnet: missing argument: a"),
        ("{ grafanaDashboards: { a: '{' } }", "list.libsonnet: grafanaDashboards: a.json is a text, but no JSON"),
        ("{ prometheusAlerts: { groups: [{ name: 'a' }, { name: 'a' }] } }", "has two groups 'a'"),
        (
            "{ prometheusRules: { groups: [{ name: 'a', rules: [{ record: 'b', expr: [] }] }] } }",
            "b: expr is an array",
        ),
    ):
        (tmp_path / "list.libsonnet").write_text(text)
        assert said in call("compile", "--mixin", "list.libsonnet", code=1).stderr
