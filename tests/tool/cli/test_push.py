"""`kronos-mixin diff` and `push`, as a user calls them."""

from __future__ import annotations

import json

import pytest

from proof.servers import binaries
from proof.servers.grafana import Grafana
from proof.servers.process import free_port
from proof.servers.ruler import Ruler


@pytest.fixture
def grafana():
    with Grafana() as running:
        yield running


@pytest.fixture
def ruler():
    with Ruler(binaries.newest()) as running:
        yield running


@pytest.fixture
def lamp(fixtures, tmp_path, grafana):
    """Options for a small mixin and the Grafana."""
    (tmp_path / "token").write_text(grafana.token)
    return ["--mixin", fixtures / "lamp-mixin", "--grafana", grafana.url, "--grafana-token-file", "token"]


def test_to_show_to_do_and_to_find_nothing_left_to_do(call, lamp, grafana, ruler):
    both = [*lamp, "--ruler", ruler.url]
    shown = call("push", *both).stdout
    assert "  add     dashboard " in shown
    assert "  add     rule group " in shown
    assert "nothing was changed; say --apply to do it" in shown
    assert not grafana.dashboards
    assert not ruler.namespaces

    differences = call("diff", *both, code=1).stdout
    assert "+++ mixin" in differences

    done = call("push", *both, "--apply").stdout
    assert "  add     dashboard " in done
    assert grafana.dashboards
    assert ruler.namespaces["lamp"]
    assert call("push", *both, "--apply").stdout.splitlines()[-1] == "nothing to do"
    call("diff", *both)


def test_what_is_left_alone_is_no_success(call, lamp, grafana):
    call("push", *lamp, "--apply")
    uid, kept = next(iter(grafana.dashboards.items()))
    grafana.keep({**kept.spec, "title": "By hand"}, by="eve")
    text = call("push", *lamp, "--apply", code=1).stdout
    assert f"  keep    dashboard Lamps ({uid}): was edited in Grafana by eve" in text
    assert "nothing to do, 1 left alone" in text
    (step,) = json.loads(call("diff", *lamp, "--format", "json", code=1).stdout)["steps"]
    assert (step["verb"], step["key"]) == ("keep", uid)
    assert '-  "title": "By hand",' in step["diff"]
    call("push", *lamp, "--apply", "--force")
    call("diff", *lamp)


def test_what_failed_and_what_did_not_is_told_one_by_one(call, lamp, ruler, tmp_path):
    """The ruler refuses a group that the mixin has."""
    (tmp_path / "wrong.jsonnet").write_text(
        "{ grafanaDashboards: { 'a.json': { title: 'A', uid: 'a' } }, prometheusAlerts: { groups: ["
        "{ name: 'bad', rules: [{ alert: 'A', expr: 'sum(' }] },"
        "{ name: 'good', rules: [{ alert: 'B', expr: 'up' }] }] } }"
    )
    both = ["--mixin", "wrong.jsonnet", *lamp[2:], "--ruler", ruler.url, "--name", "w"]
    text = call("push", *both, "--apply", code=1).stdout
    assert "  add     dashboard A (a)\n" in text
    assert "  add     rule group bad: FAILED: " in text
    assert "answers 400: " in text
    assert "  add     rule group good\n" in text
    assert list(ruler.namespaces["w"]) == ["good"]
    steps = json.loads(call("push", *both, "--apply", "--format", "json", code=1).stdout)["steps"]
    assert [(step["key"], step["verb"]) for step in steps] == [("a", "same"), ("bad", "add"), ("good", "same")]


def test_a_server_that_stops_in_the_middle(call, lamp, grafana, monkeypatch):
    """After the first dashboard its credentials are taken away."""
    keep = grafana.keep

    def once(*arguments, **options):
        grafana.tokens.clear()
        return keep(*arguments, **options)

    monkeypatch.setattr(grafana, "keep", once)
    text = call("push", "--mixin", "two.jsonnet", *lamp[2:], "--apply", code=1).stdout
    assert "  add     dashboard A (a): accepted, but it can't be seen whether it is there: " in text
    assert "  add     dashboard B (b): FAILED: " in text
    assert text.endswith("0 done, 2 not\n")
    assert list(grafana.dashboards) == ["a"]


@pytest.fixture(autouse=True)
def two(tmp_path):
    (tmp_path / "two.jsonnet").write_text(
        "{ grafanaDashboards: { 'a.json': { title: 'A', uid: 'a' }, 'b.json': { title: 'B', uid: 'b' } } }"
    )


def test_servers_that_do_not_answer(call, lamp, grafana):
    nobody = f"http://127.0.0.1:{free_port()}"
    said = call("push", *lamp, "--ruler", nobody, "--apply", code=3).stderr
    assert f"{nobody}/prometheus/config/v1/rules can't be reached" in said
    assert "nothing was changed" in said
    assert not grafana.dashboards
    assert "answers 401" in call("diff", "--grafana", grafana.url, code=3).stderr
    assert "name a Grafana or a ruler" in call("push", code=2).stderr
