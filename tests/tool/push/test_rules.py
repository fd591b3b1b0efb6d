from __future__ import annotations

import contextlib

import pytest

from kronos_mixin.connect import AnswerError, Connection
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import Mixin, evaluate
from kronos_mixin.push import ruler as client
from kronos_mixin.push.rules import mark_of, steps
from kronos_mixin.push.step import PushError
from proof.servers import binaries, victoriametrics
from proof.servers.prometheus import Prometheus
from proof.servers.ruler import CORTEX, MIMIR, Ruler
from tests.tool.push.making import make, verbs

KINDS = {"Mimir": MIMIR, "Cortex": CORTEX}


@pytest.fixture(scope="module", params=KINDS)
def served(request):
    with Ruler(binaries.newest(), KINDS[request.param], tenant="team") as running:
        yield running


@pytest.fixture
def server(served):
    """A ruler without rules."""
    served.namespaces.clear()
    return served


@pytest.fixture
def ruler(server):
    connection = Connection(server.url, http_headers={"X-Scope-OrgID": "team"})
    with contextlib.closing(client.Ruler(connection)) as opened:
        yield opened


def group(name, **more):
    rule = {"alert": "LampOut", "expr": "lamp_on\n==\n0", "for": "90m", "labels": {"severity": "page"}}
    return {"name": name, "interval": "60s", "rules": [rule, {"record": "lamp:on", "expr": "sum(lamp_on)"}], **more}


def mixin(*groups):
    return Mixin({}, list(groups), [], name="lamp")


TWO = mixin(group("a"), group("b"))


@pytest.fixture
def pushed(ruler):
    """Two groups, as a push leaves them."""
    make(steps(ruler, TWO, "lamp"))


def test_what_is_not_there_is_added_and_then_nothing_is_to_be_done(ruler, server):
    assert verbs(steps(ruler, TWO, "lamp")) == {"a": "add", "b": "add"}
    make(steps(ruler, TWO, "lamp"))
    assert list(server.namespaces["lamp"]) == ["a", "b"]
    assert verbs(steps(ruler, TWO, "lamp")) == {"a": "same", "b": "same"}
    assert verbs(steps(ruler, TWO, "a/b c")) == {"a": "add", "b": "add"}
    make(steps(ruler, TWO, "a/b c"))
    assert verbs(steps(ruler, TWO, "a/b c")) == {"a": "same", "b": "same"}


@pytest.mark.usefixtures("pushed")
def test_what_changed_is_changed_and_what_is_gone_is_removed(ruler, server):
    found = steps(ruler, mixin(group("a", interval="30s")), "lamp")
    assert verbs(found) == {"a": "change", "b": "remove"}
    assert "+interval: 30s" in found[0].diff()
    make(found)
    assert verbs(steps(ruler, mixin(group("a", interval="30s")), "lamp")) == {"a": "same"}
    assert list(server.namespaces["lamp"]) == ["a"]


@pytest.mark.usefixtures("pushed")
def test_what_is_not_ours_is_left_alone(ruler, server):
    server.namespaces["lamp"] |= {"c": group("c"), "d": group("d")}
    assert verbs(steps(ruler, mixin(group("a"), group("c")), "lamp")) == {"a": "same", "b": "remove", "c": "keep"}
    another = Mixin({}, [group("a")], [], name="kettle")
    assert verbs(steps(ruler, another, "lamp")) == {"a": "keep"}
    make(steps(ruler, another, "lamp", force=True))
    assert mark_of(server.namespaces["lamp"]["a"])[0].mixin == "kettle"
    assert list(server.namespaces["lamp"]) == ["a", "b", "c", "d"]


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("gone", [False, True])
def test_what_was_edited_is_told_and_not_overwritten(ruler, server, gone):
    server.namespaces["lamp"]["a"]["rules"][1]["expr"] = "max(lamp_on)"
    wanted = mixin(group("b")) if gone else TWO
    found = steps(ruler, wanted, "lamp")
    assert verbs(found) == {"a": "keep", "b": "same"}
    assert any("was edited in the ruler" in step.reason for step in found)
    make(steps(ruler, wanted, "lamp", force=True))
    assert verbs(steps(ruler, wanted, "lamp")) == ({"b": "same"} if gone else {"a": "same", "b": "same"})


@pytest.mark.usefixtures("pushed")
def test_who_was_slower_is_told(ruler, server):
    change, remove = steps(ruler, mixin(group("a", interval="30s")), "lamp")
    for name in "ab":
        server.namespaces["lamp"][name]["interval"] = "5m"
    for step in (change, remove):
        with pytest.raises(AnswerError, match="somebody has changed it meanwhile"):
            step.make()
    assert [group["interval"] for group in server.namespaces["lamp"].values()] == ["5m", "5m"]


def test_a_refusal_has_the_rulers_words(ruler):
    (add,) = steps(ruler, mixin(group("a", rules=[{"record": "lamp:on", "expr": "sum("}])), "lamp")
    with pytest.raises(AnswerError, match=r"answers 400: .*parse error"):
        add.make()


def test_two_groups_of_one_name(ruler):
    with pytest.raises(PushError, match="two rule groups are named a"):
        steps(ruler, mixin(group("a"), group("a")), "lamp")


def test_a_wrong_tenant(served):
    with contextlib.closing(client.Ruler(Connection(served.url))) as stranger, pytest.raises(AnswerError) as refused:
        stranger.groups("lamp")
    assert refused.value.forbidden


def test_the_rules_of_ours_run_in_a_prometheus_as_they_were_pushed(tmp_path):
    ours = evaluate(mixin_path())
    with Ruler(binaries.newest()) as server:
        # By the address of its API for queries, as in a file of connections.
        with contextlib.closing(client.Ruler(Connection(f"{server.url}/prometheus"))) as opened:
            make(steps(opened, ours, "kronos"))
            assert set(verbs(steps(opened, ours, "kronos")).values()) == {"same"}
        (tmp_path / "rules.yml").write_text(server.rule_file("kronos"))
    wanted = {group["name"]: len(group["rules"]) for group in (*ours.rules, *ours.alerts)}
    with Prometheus(binaries.newest(), {"rule_files": [str(tmp_path / "rules.yml")]}) as prometheus:
        loaded = prometheus.rules()
    assert {group["name"]: len(group["rules"]) for group in loaded} == wanted


@contextlib.contextmanager
def vmalert(folder):
    tools, file = victoriametrics.every()[-1], folder / "rules.yml"
    file.write_text("groups: [{name: a, rules: [{alert: LampOut, expr: lamp_on == 0}]}]")
    with (
        victoriametrics.storing(tools) as storage,
        victoriametrics.alerting(tools, [file], storage, "-notifier.blackhole") as url,
    ):
        yield url


@contextlib.contextmanager
def prometheus(_):
    with Prometheus(binaries.newest(), {}) as running:
        yield running.url


@pytest.mark.parametrize("server", [prometheus, vmalert])
def test_a_server_that_reads_files_says_so(server, tmp_path):
    with (
        server(tmp_path) as url,
        contextlib.closing(client.Ruler(Connection(url))) as opened,
        pytest.raises(AnswerError, match="Prometheus, Thanos Ruler and vmalert read files"),
    ):
        opened.groups("lamp")
