"""`nox -s image`: builds the image, and runs it as a hardened cluster would."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from proof.image.engine import Engine, EngineError, base, build, checked, described, store
from proof.servers.debian import Missing
from proof.servers.process import free_port

_ROOT = Path(__file__).parents[2]
_MEMORY = 2 << 30
_PATIENCE = 120.0
_HARDENED = (
    "--network=host", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--pids-limit=256",
    "--tmpfs=/tmp", "--tmpfs=/cache:mode=1777", f"--memory={_MEMORY}",
)  # fmt: skip
_MOMENTS = (0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1, 1.5, 2, 3, 4)
"""Seconds after the start at which SIGTERM is sent."""


class Wrong(Exception):  # noqa: N818 - "raise Wrong" says it.
    """The container does not do what it should."""


def main(argv: Sequence[str] | None = None) -> int:
    """Build, then check; returns the exit code."""
    parser = argparse.ArgumentParser(prog="nox -s image --", description=__doc__)
    parser.add_argument("--base", help="image to build on, by name (default: a minimal Debian, made by debootstrap)")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="as of buildah")
    options = parser.parse_args(argv)
    try:
        checked(["hadolint", str(_ROOT / "service/Dockerfile")])
        _say("hadolint: clean")
        engine = Engine(store())
        arguments = dict(argument.split("=", 1) for argument in options.build_arg)
        start = time.monotonic()
        image = build(engine, _ROOT, options.base or base(engine, say=_say), arguments)
        size = int(engine.podman("image", "inspect", "--format", "{{.Size}}", image))
        _say(f"build: {time.monotonic() - start:.0f} s, {size / 1e9:.2f} GB")
        for check in (_describes_itself, _serves, _ends_at_any_moment):
            check(engine, image)
    except (Missing, EngineError, Wrong) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _describes_itself(engine: Engine, image: str) -> None:
    config = described(engine, image)
    _expect("user", config["User"], "10001:10001")
    _expect("no health check, which belongs to the orchestrator", config.get("Healthcheck"), None)
    _expect("program in exec form", isinstance(config["Entrypoint"], list), True)


def _serves(engine: Engine, image: str) -> None:
    with _running(engine, image) as (name, url):
        _until(f"{name} to be ready", lambda: _status(f"{url}/v1/readyz") == 200)
        candle = {"open": 10, "high": 12, "low": 9, "close": 11}
        body = {"candles": [candle] * 3, "timestamps": [f"2026-01-05T09:3{n}:00Z" for n in range(3)], "horizon": 2}
        answer = httpx.post(f"{url}/v1/predict/single", json=body, timeout=_PATIENCE)
        _expect("forecast", (answer.status_code, len(answer.json()["prediction"])), (200, 2))
        metrics = httpx.get(f"{url}/v1/metrics").text.splitlines()
        limit = next(float(line.split()[1]) for line in metrics if line.startswith("kronos_memory_limit_bytes "))
        _expect("memory limit in the metrics", limit, _MEMORY)
        process = engine.podman("inspect", "--format", "{{.State.Pid}}", name)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        _expect("user of the process", status["Uid"].split()[0], "10001")
        _expect("capabilities", int(status["CapEff"], 16), 0)
        _expect("no new privileges", status["NoNewPrivs"], "1")
        touch = subprocess.run(
            ["nsenter", "--target", process, "--mount", "touch", "/opt/kronos/x"], capture_output=True, check=False
        )
        _expect("read-only root", touch.returncode, 1)


def _ends_at_any_moment(engine: Engine, image: str) -> None:
    codes = []
    for moment in _MOMENTS:
        with _running(engine, image) as (name, _):
            time.sleep(moment)
            engine.podman("kill", "--signal", "TERM", name)
            codes.append(int(engine.podman("wait", name)))
    _expect(f"exit codes after SIGTERM {', '.join(map(str, _MOMENTS))} s from the start", codes, [0] * len(_MOMENTS))


@contextlib.contextmanager
def _running(engine: Engine, image: str) -> Iterator[tuple[str, str]]:
    port = free_port()
    name = f"kronos-{os.getpid()}-{port}"
    environment = ("--env=KRONOS_HOST=127.0.0.1", f"--env=KRONOS_PORT={port}")
    try:
        engine.podman("run", "--detach", "--name", name, *_HARDENED, *environment, image)
        yield name, f"http://127.0.0.1:{port}"
    finally:
        engine.podman("rm", "--force", "--time", "0", name)


def _status(url: str) -> int | None:
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.HTTPError:
        return None


def _until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise Wrong(f"waited {_PATIENCE:g} s for {what}")
        time.sleep(0.1)


def _expect(what: str, seen: Any, expected: Any) -> None:
    if seen != expected:
        raise Wrong(f"{what}: {seen!r}, not {expected!r}")
    _say(f"{what}: {seen}")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
