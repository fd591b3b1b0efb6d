"""`nox -s cluster`: the service in a real Kubernetes, updated, killed and broken under load; and what Prometheus saw.

With `--write`, the results go to docs/cluster.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from kronos_mixin.documents import fill
from kronos_mixin.documents.reference import table
from proof.cluster import node
from proof.cluster.configuration import PAUSE
from proof.cluster.inside import Order
from proof.cluster.manifests import ADAPTATIONS, IMAGE, TAG
from proof.cluster.programs import BuildError, programs
from proof.cluster.scenes import SCENES
from proof.image.engine import Engine, EngineError, base, build, checked, store
from proof.servers import binaries
from proof.servers.debian import Missing

_ROOT = Path(__file__).parents[2]
_DOCUMENT = _ROOT / "docs" / "cluster.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Build what is missing, start a node, and play the scenes. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s cluster --", description=__doc__)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"of {', '.join(SCENES)} (default: all)")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="for the image")
    parser.add_argument("--work", type=Path, help="folder for logs and data, which stay (default: a temporary one)")
    parser.add_argument("--write", action="store_true", help="write the results into docs/cluster.md")
    options = parser.parse_args(argv)
    if unknown := set(options.scenes) - SCENES.keys():
        parser.error(f"no scene is called {' or '.join(sorted(unknown))}; there are {', '.join(SCENES)}")
    if options.write and options.scenes:
        parser.error("--write needs all scenes: name none")
    arguments = dict(argument.split("=", 1) for argument in options.build_arg)
    try:
        with tempfile.TemporaryDirectory(prefix="kronos-cluster-") as folder:
            work = options.work.absolute() if options.work else Path(folder)
            work.mkdir(parents=True, exist_ok=True)
            if any(work.iterdir()):
                parser.error(f"{work} is not empty")
            code, result = _play(work, options.scenes or list(SCENES), arguments)
    except (Missing, BuildError, EngineError, node.NodeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.write and not code:
        page = _DOCUMENT.read_text("utf-8")
        _DOCUMENT.write_text(fill(page, {"cluster": lambda _: _section(**result)}), "utf-8")
    return code


def _play(work: Path, scenes: Sequence[str], arguments: Mapping[str, str]) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code and, if that is 0, what came of it."""
    start = time.monotonic()
    engine = Engine(store())
    found = programs(say=_say)
    tools = binaries.newest(say=_say)
    archive = work / "images.tar"
    _images(engine, archive, found.daemons / "pause", arguments)
    _say(f"programs and images: {time.monotonic() - start:.0f} s")
    order = Order(
        work=str(work),
        daemons=str(found.daemons),
        packages=str(found.packages),
        prometheus=str(tools.prometheus),
        promtool=str(tools.promtool),
        version=tools.version,
        images=str(archive),
        cgroup=node.cgroup(os.getpid()),
        scenes=tuple(scenes),
        result=str(work / "result.json"),
    )
    code = node.run("proof.cluster.inside", [order.text()])
    _say(f"all: {time.monotonic() - start:.0f} s")
    return code, {} if code else json.loads(Path(order.result).read_text())


def _images(engine: Engine, archive: Path, pause: Path, arguments: Mapping[str, str]) -> None:
    """Write an archive with the service's image, and one with `pause` alone."""
    engine.podman("tag", build(engine, _ROOT, base(engine, say=_say), arguments), f"{IMAGE}:{TAG}")
    alone = archive.with_name("pause.tar")
    checked(["tar", "--directory", str(pause.parent), "--create", "--file", str(alone), pause.name])
    engine.podman("import", "--quiet", "--change", 'ENTRYPOINT ["/pause"]', str(alone), PAUSE)
    engine.podman("save", "--quiet", "--multi-image-archive", "--output", str(archive), f"{IMAGE}:{TAG}", PAUSE)


def _section(versions: Mapping[str, str], outcomes: Mapping[str, str]) -> str:
    run = ", ".join(f"{name} {version.removeprefix('v')}" for name, version in versions.items())
    told = {name: " ".join((scene.__doc__ or "").split()) for name, scene in SCENES.items()}
    scenes = table(["scene", "what happened"], [[told[name], outcome] for name, outcome in outcomes.items()])
    patches = table(["object", "why it was patched"], [[f"`{one.kind}`", one.why] for one in ADAPTATIONS])
    return f"Run with {run}.\n\n{scenes}\n\n{patches}"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
