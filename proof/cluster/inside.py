"""The part of `nox -s cluster` that runs inside a node: its argument is an order from the part outside."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kronos_mixin.connect import AnswerError
from kronos_mixin.verify.api import WaitError
from proof.cluster import manifests, node, watch
from proof.cluster.engine import Cluster, ClusterError
from proof.cluster.manifests import Manifests
from proof.cluster.programs import Programs
from proof.cluster.scenes import SCENES
from proof.cluster.stage import Stage, Wrong
from proof.servers.binaries import Tools
from proof.servers.process import ProcessError
from proof.servers.prometheus import Prometheus

FAILURES = (ClusterError, node.NodeError, ProcessError, Wrong, WaitError, AnswerError)


@dataclass(frozen=True)
class Order:
    """What to play, and with what. All paths are absolute."""

    work: str
    """An empty folder."""
    daemons: str
    packages: str
    prometheus: str
    promtool: str
    version: str
    """Of Prometheus."""
    images: str
    """An archive with the images of the service and of the pods' first container."""
    cgroup: str
    scenes: tuple[str, ...]
    result: str
    """The file for what came of it: versions and, by scene, what happened."""

    def text(self) -> str:
        """The order as an argument."""
        return json.dumps(asdict(self))


def main(argv: Sequence[str] | None = None) -> int:
    """Play the scenes. Returns the exit code."""
    (given,) = sys.argv[1:] if argv is None else argv
    # The first process of a node gets no signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return _play(Order(**json.loads(given)))
    except FAILURES as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _play(order: Order) -> int:
    work = Path(order.work)
    node.furnish(work)
    tempfile.tempdir = order.work
    tools = Tools(order.version, Path(order.prometheus), Path(order.promtool))
    programs = Programs(Path(order.daemons), Path(order.packages))
    with Cluster(programs, work, order.cgroup, say=_say) as cluster:
        start = time.monotonic()
        cluster.ctr("images", "import", order.images)
        _say(f"images: imported in {time.monotonic() - start:.0f} s")
        cluster.apply([manifests.namespace(), *manifests.rights()])
        own = {name: work / name for name in ("manifests", "rules")}
        for folder in own.values():
            folder.mkdir()
        guide = watch.configuration(watch.of_the_guide(), cluster.configuration, own["rules"])
        with Prometheus(tools, guide) as server:
            stage = Stage(cluster, Manifests(own["manifests"]), server, own["rules"], _say)
            start = time.monotonic()
            stage.roll_out()
            _say(f"service: {len(stage.ready())} pods ready after {time.monotonic() - start:.0f} s")
            outcomes = {name: _played(name, stage) for name in order.scenes}
        versions = {**cluster.versions(), "Prometheus": tools.version}
    Path(order.result).write_text(json.dumps({"versions": versions, "outcomes": outcomes}))
    return 0 if all(outcomes.values()) else 1


def _played(name: str, stage: Stage) -> str | None:
    """What happened in a scene; None if it went wrong, and the service is as it was before."""
    start = time.monotonic()
    try:
        outcome = SCENES[name](stage)
    except FAILURES as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        stage.roll_out()
        return None
    _say(f"{name}: {outcome} ({time.monotonic() - start:.0f} s)")
    return outcome


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
