"""A drill leaves nothing behind, wherever it is killed, in configurations that others wrote."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from kronos_mixin.connect import Connection
from kronos_mixin.contract import mixin_path
from kronos_mixin.drill import install
from kronos_mixin.drill.environment import Environment, environment, overrides, scrape_job
from kronos_mixin.drill.install import Place, Reloader
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.merge.prometheusyml import MergeError
from kronos_mixin.merge.reload import ReloadError
from kronos_mixin.merge.validate import validate
from proof.servers import binaries
from proof.servers.prometheus import Prometheus
from tests.tool.drill.kills import every_step, killed_at, tree

PLAIN = """\
    # The central one. Ask before you change anything!
    global:
      scrape_interval: 30s   # sic

    rule_files:
    - rules/*.yml
    scrape_configs:
    - job_name: 'node'
      static_configs: [{targets: [localhost:1]}]

    # The end."""

ANCHORS = """\
    global: {scrape_interval: 20s}
    scrape_configs:
      - job_name: one
        static_configs: &all
          - targets: ["localhost:1"]
      - {job_name: two, static_configs: *all}
    """

BRACKETS = """\
    global: {scrape_interval: 1m}
    rule_files: ['rules/*', 'more/*.yml']
    scrape_configs: []
    """

WINDOWS = "global: {}\r\nrule_files:\r\n  - kronos-mixin/*.yml\r\n  - rules/a.yml\r\n"

NOTHING = ""

INCLUDES = """\
    scrape_config_files: [jobs/*.yml]
    rule_files: [rules/a.yml, more/*.rules]
    remote_write: [{url: "http://localhost:1/write"}]
    """

CONFIGURATIONS = {
    "comments": PLAIN,
    "anchors": ANCHORS,
    "lists in brackets": BRACKETS,
    "windows, and a pattern that finds the drill": WINDOWS,
    "empty": NOTHING,
    "includes": INCLUDES,
}


@pytest.fixture(scope="module")
def drilled():
    user = evaluate(mixin_path())
    shortened = evaluate(mixin_path(), {"kronos": overrides(user.config, 1)})
    whole = environment(user, shortened, 2_000_000_000)
    # Few rules: each is compared with what Prometheus runs, a hundred times.
    mixin = dataclasses.replace(whole.mixin, rules=whole.mixin.rules[:1], alerts=whole.mixin.alerts[:1])
    return dataclasses.replace(whole, mixin=mixin)


@pytest.fixture(scope="module")
def etc(tmp_path_factory) -> Path:
    """What others have put around their configuration."""
    folder = tmp_path_factory.mktemp("etc")
    for name in ("rules", "more", "jobs", "kronos-mixin"):
        (folder / name).mkdir()
    (folder / "rules/a.yml").write_text("groups: []\n")
    (folder / "more/b.rules").write_text("groups: []\n")
    (folder / "jobs/c.yml").write_text(
        "scrape_configs: [{job_name: far, static_configs: [{targets: [localhost:1]}]}]"
    )
    (folder / "rules/a.yml").chmod(0o604)
    (folder / "real.yml").write_text("global: {}\n")
    (folder / "prometheus.yml").symlink_to("real.yml")
    return folder


@pytest.fixture(scope="module")
def server(etc):
    with Prometheus(binaries.newest(), etc / "prometheus.yml") as running:
        yield Reloader(Connection.to(running.url))


@pytest.fixture
def prepare(etc, server) -> Callable[..., Place]:
    """Write a configuration; returns where a drill is put."""

    def write(text: str, rules: Path | None = None) -> Place:
        (etc / "real.yml").write_text(textwrap.dedent(text), newline="")
        (etc / "real.yml").chmod(0o640)
        return Place.of(etc / "prometheus.yml", server, rules)

    return write


def installed(place: Place, drilled: Environment) -> contextlib.AbstractContextManager[None]:
    return install.installed(place, place.plan(drilled, scrape_job(drilled, "http://localhost:1/targets")))


def drill(place: Place, drilled: Environment) -> None:
    """As the command does, without faults."""
    validate(place.plan(drilled, scrape_job(drilled, "http://localhost:1/targets")))
    with installed(place, drilled):
        pass


def clean(place: Place) -> None:
    """As `drill --clean` does."""
    if traces := install.left_over(place):
        install.take_out(place, traces)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_killed_at_every_step(name, etc, prepare, drilled, monkeypatch):
    monkeypatch.setenv("PATH", str(binaries.newest().promtool.parent), prepend=os.pathsep)
    # Where no folder is named, there is one that the drill must leave.
    place = prepare(CONFIGURATIONS[name], etc / "new/deep" if name == "comments" else None)
    before = tree(etc)
    # Every second step is the last one in one of the configurations.
    first, stride = 1 + 2 * list(CONFIGURATIONS).index(name), 2 * len(CONFIGURATIONS)
    steps = 0
    for steps in every_step(lambda: drill(place, drilled), first, stride):
        clean(place)
        assert tree(etc) == before, f"after a kill at step {steps}"
    assert tree(etc) == before
    assert steps > 20
    assert "kronos-drill" not in str(place.server.configuration())


def test_cleaning_is_killed_too(etc, prepare, drilled):
    place = prepare(PLAIN)
    before = tree(etc)

    def half() -> None:
        with installed(place, drilled):
            os._exit(0)

    for step in itertools.count(2, 7):
        killed_at(0, half)
        assert tree(etc) != before
        if not killed_at(step, lambda: clean(place)):
            break
        clean(place)
        assert tree(etc) == before, f"after a kill at step {step}"
    assert tree(etc) == before
    assert step > 5


def test_what_others_write_meanwhile_stays(etc, prepare, drilled):
    place = prepare(PLAIN)
    mine = "# And mine: do.\n"
    with installed(place, drilled):
        (etc / "real.yml").write_text(mine + (etc / "real.yml").read_text() + "\nremote_read: []\n")
        (etc / "kronos-mixin/theirs.yml").write_text("groups: []\n")
    assert (etc / "real.yml").read_text() == mine + textwrap.dedent(PLAIN) + "\nremote_read: []\n"
    assert [path.name for path in (etc / "kronos-mixin").iterdir()] == ["theirs.yml"]
    (etc / "kronos-mixin/theirs.yml").unlink()


def test_a_file_that_broke_meanwhile_is_left_alone_until_it_is_mended(etc, prepare, drilled):
    place = prepare(PLAIN)
    before = tree(etc)
    here = installed(place, drilled)
    here.__enter__()
    held = (etc / "real.yml").read_text()
    (etc / "real.yml").write_text("{" + held)
    with pytest.raises(MergeError, match="is not YAML"):
        here.__exit__(None, None, None)
    (etc / "real.yml").write_text(held)
    clean(place)
    assert tree(etc) == before


def test_what_prometheus_refuses_is_undone(etc, prepare, drilled):
    place = prepare(PLAIN)
    before = tree(etc)
    twice = dataclasses.replace(drilled.mixin, alerts=drilled.mixin.alerts * 2)
    broken = dataclasses.replace(drilled, mixin=twice)
    with pytest.raises(ReloadError, match="put back"), installed(place, broken):
        pytest.fail("Prometheus took it")
    assert tree(etc) == before


def test_one_drill_at_a_time(prepare, drilled):
    place = prepare(PLAIN)
    with installed(place, drilled), pytest.raises(MergeError, match="a drill is under way here"):
        install.left_over(place)
    assert install.left_over(place) is None


def test_a_folder_that_was_empty_stays(etc, prepare, drilled):
    place = prepare(PLAIN)
    assert place.rules == etc / "kronos-mixin"
    with installed(place, drilled):
        assert len(list(place.rules.iterdir())) == 2
    assert place.rules.is_dir()


def test_rule_files_go_where_the_server_finds_those_of_the_installation(etc, prepare, call):
    place = prepare(PLAIN)
    call("merge", place.config, "--target", "localhost:1", "--rules-dir", etc / "more", "--yes")
    try:
        assert Place.of(place.config, place.server).rules == etc / "more"
    finally:
        call("unmerge", place.config, "--yes")
        for backup in etc.glob("*.bak"):
            backup.unlink()
