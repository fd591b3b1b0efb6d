from __future__ import annotations

import contextlib
import dataclasses

import pytest

from kronos_mixin.changes import Verb
from kronos_mixin.connect import AnswerError
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.push.dashboards import steps
from kronos_mixin.push.editor import Editor
from kronos_mixin.push.step import PushError
from proof.servers.grafana import Grafana
from tests.tool.push.making import make, verbs

KINDS = {
    "10": {"version": "10.4.0", "apis": ()},
    "12": {"version": "12.1.0"},
    "without the older": {"version": "13.2.0", "apis": ("v0alpha1", "v1beta1", "v1", "v2"), "api": False},
}


@pytest.fixture(scope="module", params=KINDS)
def server(request):
    with Grafana(**KINDS[request.param]) as running:
        yield running


@pytest.fixture
def grafana(server):
    """An empty Grafana."""
    server.dashboards.clear()
    server.folders.clear()
    return server


@pytest.fixture
def editor(grafana):
    with contextlib.closing(Editor(grafana.connection("glsa_editor"))) as opened:
        yield opened


def board(uid, **more):
    return {"uid": uid, "title": f"Board {uid}", "tags": ["lamp"], "schemaVersion": 39, "panels": [], **more}


def mixin(*boards, **more):
    return Mixin({f"{board['uid']}.json": board for board in boards}, [], [], name="lamp", folder="Lamps", **more)


TWO = mixin(board("a"), board("b"))


@pytest.fixture
def pushed(editor):
    """Two dashboards, as a push leaves them."""
    make(steps(editor, TWO))


def test_what_is_not_there_is_added_and_then_nothing_is_to_be_done(editor, grafana):
    first = steps(editor, TWO)
    assert verbs(first) == {"folder Lamps": "add", "a": "add", "b": "add"}
    make(first)
    assert list(grafana.folders.values()) == ["Lamps"]
    kept = grafana.dashboards["a"]
    assert kept.spec["tags"] == ["lamp", "kronos-mixin:lamp"]
    assert (grafana.folders[kept.folder_uid], kept.spec["title"], kept.by) == ("Lamps", "Board a", "editor")
    assert verbs(steps(editor, TWO)) == {"a": "same", "b": "same"}
    make(steps(editor, TWO))
    assert kept.version == grafana.dashboards["a"].version == 1


@pytest.mark.usefixtures("pushed")
def test_what_changed_is_changed_and_what_is_gone_is_removed(editor, grafana):
    found = steps(editor, mixin(board("a", title="New")))
    assert verbs(found) == {"a": "change", "b": "remove"}
    assert '+  "title": "New",' in found[0].diff()
    make(found)
    assert grafana.dashboards["a"].spec["title"] == "New"
    assert list(grafana.dashboards) == ["a"]
    assert verbs(steps(editor, mixin(board("a", title="New")))) == {"a": "same"}


@pytest.mark.usefixtures("pushed")
def test_what_is_not_ours_is_left_alone(editor, grafana):
    grafana.keep(board("other"), "Lamps")
    grafana.keep(board("c"))
    grafana.keep(
        board("of-another-mixin", tags=["kronos-mixin:kettle"]), message="kronos-mixin kettle 0123456789abcdef"
    )
    found = steps(editor, mixin(board("a"), board("b"), board("c")))
    assert verbs(found) == {"a": "same", "b": "same", "c": "keep"}
    assert "lacks the tag kronos-mixin:lamp" in found[-1].reason
    assert found[-1].make is None
    assert verbs(steps(editor, mixin())) == {"a": "remove", "b": "remove"}
    make(steps(editor, mixin(board("c")), force=True))
    assert grafana.dashboards["c"].spec["tags"] == ["lamp", "kronos-mixin:lamp"]
    assert sorted(grafana.dashboards) == ["c", "of-another-mixin", "other"]


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("gone", [False, True])
def test_what_was_edited_is_told_and_not_overwritten(editor, grafana, gone):
    edited = {**grafana.dashboards["a"].spec, "title": "By hand"}
    grafana.keep(edited, "Lamps", by="eve", message="a better title")
    wanted = mixin(board("b")) if gone else TWO
    found = steps(editor, wanted)
    assert verbs(found) == {"a": "keep", "b": "same"}
    (kept,) = (step for step in found if step.verb is Verb.keep)
    assert "was edited in Grafana by" in kept.reason
    assert "eve" in kept.reason
    make(steps(editor, wanted, force=True))
    assert grafana.dashboards["a"].spec["title"] == "Board a" if not gone else "a" not in grafana.dashboards


def test_what_is_provisioned_is_left_alone_whatever_one_says(editor, grafana):
    grafana.keep(board("a", tags=["kronos-mixin:lamp"]), file="/etc/dashboards/a.json")
    for wanted in (mixin(board("a")), mixin()):
        (found,) = (step for step in steps(editor, wanted, force=True) if step.key == "a")
        assert (found.verb, found.make) == (Verb.keep, None)
        assert "is provisioned from /etc/dashboards/a.json" in found.reason


@pytest.mark.usefixtures("pushed")
def test_who_was_slower_is_told(editor, grafana):
    change, remove = steps(editor, mixin(board("a", title="New")))
    for uid in "ab":
        grafana.keep({**grafana.dashboards[uid].spec, "title": "By hand"}, "Lamps", by="eve")
    for step in (change, remove):
        with pytest.raises(AnswerError, match="somebody has changed it meanwhile") as told:
            step.make()
        assert told.value.status in {409, 412}
    assert [kept.spec["title"] for kept in grafana.dashboards.values()] == ["By hand", "By hand"]


def test_who_was_slower_to_add_is_told(editor, grafana):
    _, add, _ = steps(editor, TWO)
    grafana.keep(board("a", title="By hand"))
    with pytest.raises(AnswerError, match="somebody has changed it meanwhile"):
        add.make()


@pytest.mark.usefixtures("pushed")
def test_folders(editor, grafana):
    found = steps(editor, TWO, "Elsewhere")
    assert verbs(found) == {"folder Elsewhere": "add", "a": "change", "b": "change"}
    assert found[1].reason == "from the folder Lamps to Elsewhere"
    make(found)
    assert grafana.folders[grafana.dashboards["a"].folder_uid] == "Elsewhere"
    # A mixin without a folder leaves its dashboards where somebody has put them.
    homeless = dataclasses.replace(TWO, folder="")
    assert verbs(steps(editor, homeless)) == {"a": "same", "b": "same"}
    make(steps(editor, dataclasses.replace(homeless, dashboards={"a.json": board("a", title="New")})))
    assert grafana.folders[grafana.dashboards["a"].folder_uid] == "Elsewhere"


@pytest.mark.usefixtures("pushed")
def test_a_newer_schema_is_no_edit(editor, grafana):
    """Grafana brings dashboards to its newest schema by itself."""
    grafana.dashboards["a"].spec["schemaVersion"] = 42
    assert verbs(steps(editor, TWO))["a"] == "same"


def test_a_dashboard_without_a_uid_gets_one_that_stays(editor):
    found = steps(editor, Mixin({"my board.json": {"title": "Mine"}}, [], [], name="lamp"))
    assert verbs(found) == {"lamp-my-board": "add"}
    make(found)
    assert verbs(steps(editor, Mixin({"my board.json": {"title": "Mine"}}, [], [], name="lamp"))) == {
        "lamp-my-board": "same"
    }


@pytest.mark.parametrize(
    ("boards", "reason"),
    [
        ({"a.json": board("a"), "b.json": board("a")}, "b.json: another dashboard of the mixin has the uid a, too"),
        ({"a.json": board("a/b")}, "a.json: its uid 'a/b' is not of up to 40"),
        ({"a.json": board("a", title="")}, "a.json: has no title"),
    ],
)
def test_what_grafana_would_refuse(editor, boards, reason):
    with pytest.raises(PushError, match=reason):
        steps(editor, Mixin(boards, [], [], name="lamp"))


def test_a_name_that_is_too_long_for_a_tag(editor):
    with pytest.raises(PushError, match="longer than the 50 letters"):
        steps(editor, dataclasses.replace(TWO, name="l" * 38))
    make(steps(editor, dataclasses.replace(TWO, name="a lamp")))
    assert verbs(steps(editor, dataclasses.replace(TWO, name="a lamp"))) == {"a": "same", "b": "same"}


def test_credentials_that_may_only_read(grafana):
    with contextlib.closing(Editor(grafana.connection("glsa_viewer"))) as viewer:
        add = steps(viewer, TWO)
        with pytest.raises(AnswerError) as refused:
            add[0].make()
    assert refused.value.forbidden
    assert not grafana.folders
