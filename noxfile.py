"""What one does with this checkout: `nox` runs the tests, `nox -s demo` shows the whole at work."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import nox

nox.needs_version = ">=2025.2"
nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True

# All tests run in one process more than there are cores, for many of them wait most of the time.
SIDE_BY_SIDE = [f"--numprocesses={(os.cpu_count() or 1) + 1}", "--dist=loadfile", "--no-loadscope-reorder"]

PYPROJECT = nox.project.load_toml("pyproject.toml")


def install(session: nox.Session, *groups: str, extras: str = "service,fast,otel") -> None:
    """Install this checkout with extras, and dependency groups, at the versions of the constraints file."""
    packages = nox.project.dependency_groups(PYPROJECT, *groups)
    session.install("--constraint", "constraints.txt", "--editable", f".[{extras}]", *packages)


def install_oracle(session: nox.Session) -> None:
    """Install upstream's architecture. It pins old versions of packages that are here already."""
    session.install("--constraint", "constraints.txt", "--no-deps", "kronos-model-arch")


@contextlib.contextmanager
def timed(session: nox.Session, part: str) -> Iterator[None]:
    """Say how long a part took, also when it fails."""
    start = time.monotonic()
    try:
        yield
    finally:
        session.log(f"{part}: {time.monotonic() - start:.0f} s")


@nox.session
def tests(session: nox.Session) -> None:
    """Lint, types, the mixin's own check, and all tests; arguments go to pytest, which is then a single process."""
    with timed(session, "environment"):
        install(session, "dev")
        install_oracle(session)
    with timed(session, "lint"):
        session.run("ruff", "check")
        session.run("ruff", "format", "--check")
    with timed(session, "types"):
        session.run("mypy")
    with timed(session, "mixin"):
        session.run("python", "build.py", "check")
    with timed(session, "pytest"):
        session.run("pytest", *(session.posargs or SIDE_BY_SIDE))


@nox.session
def tests_engines(session: nox.Session) -> None:
    """The tests of the tool and the mixin in C++, for `tests` has Jsonnet in Go; arguments go to pytest."""
    with timed(session, "environment"):
        install(session, "dev")
    with timed(session, "pytest"):
        session.env["KRONOS_MIXIN_ENGINE"] = "c++"
        session.run("pytest", *SIDE_BY_SIDE, *(session.posargs or ("tests/tool", "tests/mixin")))


def run(session: nox.Session, module: str, group: str = "proof") -> None:
    """Run a module of this checkout with a dependency group; arguments go to it."""
    with timed(session, "environment"):
        install(session, group)
    session.run("python", "-m", module, *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """The service, Prometheus and an alert on a real fault, in a minute; `-- --once` stops by itself."""
    run(session, "proof.demo")


@nox.session
def drill(session: nox.Session) -> None:
    """Drill every alert through the oldest and the newest Prometheus; arguments go to `kronos-mixin drill`."""
    run(session, "proof.drill")


@nox.session
def pictures(session: nox.Session) -> None:
    """Draw every dashboard into docs/pictures/ and try it in a browser; needs Node and Chromium."""
    run(session, "proof.pictures.draw")


@nox.session
def image(session: nox.Session) -> None:
    """Build the service's image without an engine, and run it; needs root, buildah, podman and debootstrap."""
    run(session, "proof.image")


@nox.session
def ray(session: nox.Session) -> None:
    """The service behind Ray Serve on two nodes while things go wrong, as root; `-- --write` renews docs/ray.md."""
    with timed(session, "environment"):
        install(session, "ray", extras="ray,fast")
    session.run("pytest", "tests/ray")
    session.run("python", "-m", "proof.ray", *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """The service in a real Kubernetes of one node, built from Debian's source; needs what `image` does, and gcc."""
    run(session, "proof.cluster")


@nox.session
def train_demo(session: nox.Session) -> None:
    """Train the demo checkpoint anew, seven minutes on one core; `-- --output FOLDER` leaves the service's alone."""
    run(session, "training", "train")


@nox.session
def bench_service(session: nox.Session) -> None:
    """Cost of instrumentation and traces, size of the scrape, minutes of overload; `-- cost` for one part."""
    run(session, "benchmarks.bench_service", "bench")


@nox.session
def bench_forecast(session: nox.Session) -> None:
    """Forecasts beside the reference and the machine, and over HTTP; `-- speed --sizes mini` for a part."""
    install_oracle(session)
    run(session, "benchmarks.bench_forecast", "bench")


@nox.session
def bench_rules(session: nox.Session) -> None:
    """CPU time of each rule group by the number of instances, and of the overview; `-- evaluation` for one part."""
    run(session, "benchmarks.bench_rules")


@nox.session
def bench_compile(session: nox.Session) -> None:
    """CPU time to compile our mixin and a large one, with both Jsonnet engines; `-- --mixin PATH` for another one."""
    run(session, "benchmarks.bench_compile", "bench")


@nox.session
def bench_live(session: nox.Session) -> None:
    """From a save to the file and the drawn dashboard; needs Node and Chromium, or `-- --without-browser`."""
    run(session, "benchmarks.bench_live", "bench")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Thousands of requests made from the OpenAPI document, then every known mistake; `-- --seed N` repeats a run."""
    run(session, "benchmarks.fuzz", "fuzz")


@nox.session
def proof(session: nox.Session) -> None:
    """Every alert on a real fault in the oldest and the newest Prometheus; `-- --write` renews docs/proof.md."""
    session.env["PYTHONPATH"] = os.pathsep.join([".", "tests/mixin"])
    run(session, "tests.e2e.prove", "test")


@nox.session
def rulers(session: nox.Session) -> None:
    """Six hours under the rules of Prometheus and of VictoriaMetrics, side by side; `-- --write` for the docs."""
    run(session, "proof.rulers")


@nox.session
def mutation(session: nox.Session) -> None:
    """Mistakes put into the mixin, and which gate caught them; `-- --seed N` for others, `--write` for the docs."""
    session.env["PYTHONPATH"] = os.pathsep.join([".", "tests/mixin"])
    run(session, "mutation", "test")
