"""What `nox -s cluster` stands on. The cluster itself takes minutes."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proof.cluster import node, watch
from proof.cluster.manifests import ADAPTATIONS, NAMESPACE, Manifests, rights


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Manifests:
    return Manifests(tmp_path_factory.mktemp("manifests"))


def by_kind(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in objects}


def test_what_is_applied_is_what_is_compiled_but_for_the_adaptations(manifests):
    compiled, adapted = by_kind(manifests.compiled()), by_kind(manifests.objects(variables={"KRONOS_MODEL": "x"}))
    assert compiled.keys() == adapted.keys()
    for kind in compiled:
        assert adapted[kind]["metadata"].pop("namespace") == NAMESPACE
    assert {kind for kind in compiled if compiled[kind] != adapted[kind]} == {one.kind for one in ADAPTATIONS}
    assert adapted["PodDisruptionBudget"]["apiVersion"] == "policy/v1beta1"
    (was,), (now,) = (one["Deployment"]["spec"]["template"]["spec"]["containers"] for one in (compiled, adapted))
    assert now["env"] == [{"name": "KRONOS_MODEL", "value": "x"}]
    assert {field for field in was if was[field] != now[field]} == {"image", "env", "resources"}


def test_the_guide_says_what_the_mixin_compiles():
    guide, compiled = watch.of_the_guide(), watch.of_the_mixin("http")
    pace = {"scrape_interval", "scrape_timeout"}
    assert guide == {name: value for name, value in compiled.items() if name not in pace}


def test_prometheus_may_do_what_the_guide_names():
    (rule,) = rights()[0]["rules"]
    text = watch.GUIDE.read_text(encoding="utf-8")
    assert f"`{rule['verbs'][0]}`, `{rule['verbs'][1]}` and `{rule['verbs'][2]}` on `{rule['resources'][0]}`" in text


@pytest.mark.parametrize(
    ("values", "total"),
    [([0, 3, 7, 7], 7), ([0, 3, 7, 2, 4], 11), ([5, 0, 0], 5), ([0, 0], 0), ([4], 4)],
    ids=["goes on", "restarts", "restarts and rests", "rests", "once"],
)
def test_a_counter_goes_on_after_a_restart(values, total):
    assert watch.total(values) == total


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("iptables"), reason="a node needs root, and iptables"
)


@contextlib.contextmanager
def in_a_node(folder: Path, stay: float) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """The process that started a node, what the process that is left behind is called, and the node's cgroup."""
    name = f"{600 + secrets.randbelow(1000)}.{secrets.randbelow(10**9)}"
    work = folder / "work"
    work.mkdir()
    report = work / "report"
    program = (
        "import json, os, sys\n"
        "from proof.cluster import node\n"
        "order = json.loads(sys.argv[1])\n"
        "order['cgroup'] = str(next(node.hierarchies()) / node.cgroup(os.getpid())[1:])\n"
        "sys.exit(node.run('tests.proof.in_a_node', [json.dumps(order)]))"
    )
    order = json.dumps({"work": str(work), "report": str(report), "name": name, "stay": stay})
    with subprocess.Popen([sys.executable, "-c", program, order]) as process:
        try:
            until(lambda: (report.exists() and report.read_text()) or process.poll() is not None)
            yield process, name, next(node.hierarchies()) / node.cgroup(process.pid)[1:]
        finally:
            process.kill()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def runs(name: str) -> bool:
    return (
        subprocess.run(["pgrep", "--full", f"^sleep {name}$"], stdout=subprocess.DEVNULL, check=False).returncode == 0
    )


@needs_root
def test_nothing_is_left_of_a_node_that_ends(tmp_path):
    before = {path: Path(path).read_text() for path in ("/proc/sys/kernel/panic", "/proc/self/mounts")}
    with in_a_node(tmp_path, stay=0) as (process, name, cgroup):
        assert process.wait(60) == 0
        assert json.loads((tmp_path / "work" / "report").read_text()) == {
            "kernel/panic": "10",
            "vm/overcommit_memory": "1",
            "/var/lib": "[]",
            "/opt": "read-only",
        }
        assert not runs(name)
        assert not cgroup.exists()
    assert {path: Path(path).read_text() for path in before} == before
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    assert "of the node" not in rules
    assert "node0" not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout


@needs_root
def test_a_node_ends_with_whoever_started_it(tmp_path):
    with in_a_node(tmp_path, stay=600) as (process, name, cgroup):
        assert runs(name)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not runs(name))
    # Nobody was there to take it away: the next one does.
    assert cgroup.exists()
    (tmp_path / "next").mkdir()
    with in_a_node(tmp_path / "next", stay=0) as (process, _, _):
        assert process.wait(60) == 0
    assert not cgroup.exists()
