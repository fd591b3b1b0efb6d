"""buildah and podman, with a store of their own, so that nothing of the user's is touched."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kronos_mixin.cache import cache
from proof.servers.debian import Missing, Say

PROGRAMS = ("buildah", "podman", "runc")
_CERTIFICATES = "/etc/ssl/certs/of-the-host.crt"


class EngineError(Exception):
    """A command failed; the message has it, and the last lines that it wrote."""


@dataclass(frozen=True)
class Engine:
    """A store of images below `folder`."""

    folder: Path

    def __post_init__(self) -> None:
        if os.geteuid() != 0:
            raise Missing(
                "Images are built without an engine by changing root, which only root may do: run it as root."
            )
        if absent := [program for program in PROGRAMS if shutil.which(program) is None]:
            raise Missing(f"{' and '.join(absent)} must be on PATH: apt-get install {' '.join(absent)}")
        self.folder.mkdir(parents=True, exist_ok=True)
        # The default limits are above what a machine without CAP_SYS_RESOURCE may set.
        self._configuration.write_text('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')

    @property
    def _configuration(self) -> Path:
        return self.folder / "containers.conf"

    def buildah(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run buildah and return what it printed. Raises EngineError."""
        return self._run("buildah", (), arguments, cwd)

    def podman(self, *arguments: str) -> str:
        """Run podman with runc and return what it printed. Raises EngineError."""
        return self._run("podman", ("--cgroup-manager", "cgroupfs", "--runtime", "runc"), arguments, None)

    def _run(self, program: str, options: tuple[str, ...], arguments: tuple[str, ...], cwd: Path | None) -> str:
        store = ("--root", str(self.folder / "store"), "--runroot", str(self.folder / "run"))
        done = subprocess.run(
            [program, *store, *options, *arguments],
            cwd=cwd,
            env={**os.environ, "CONTAINERS_CONF": str(self._configuration)} if program == "podman" else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if program == "buildah" else subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            tail = "\n".join((done.stderr or done.stdout).splitlines()[-20:])
            raise EngineError(f"{program} {' '.join(arguments)}:\n{tail}")
        return done.stdout.strip()


def base(engine: Engine, *, say: Say) -> str:
    """Return the name of a minimal Debian with Python, made by debootstrap at the first call. Raises EngineError."""
    name = "localhost/kronos-base"
    if engine.podman("images", "--quiet", name):
        return name
    if shutil.which("debootstrap") is None:
        raise Missing("debootstrap must be on PATH: apt-get install debootstrap; or name a --base")
    say("base: a minimal Debian with Python …")
    with tempfile.TemporaryDirectory(dir=engine.folder) as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        checked(["debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm",
                  str(root), _site()])  # fmt: skip
        checked(["tar", "--directory", str(root), "--create", "--file", str(archive), "."])
        engine.podman("import", "--quiet", str(archive), name)
    return name


def build(engine: Engine, checkout: Path, base: str, arguments: Mapping[str, str]) -> str:
    """Build the checkout's image on `base`, with pip set up as it is here, and return its id. Raises EngineError."""
    with tempfile.TemporaryDirectory(dir=engine.folder) as folder:
        mounts = [f"--volume={source}:{target}:ro" for source, target in _pip(Path(folder))]
        written = engine.buildah(
            "build", "--isolation", "chroot", "--network", "host", "--layers", *mounts,
            *(f"--build-arg={name}={value}" for name, value in {"BASE": base, **arguments}.items()),
            "--file", "service/Dockerfile", "--tag", "localhost/kronos", ".",
            cwd=checkout,
        )  # fmt: skip
    return written.splitlines()[-1]


def _pip(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files that make pip in the build find packages as pip here does: where each is, and where it has to be."""
    settings = {}
    for line in checked([sys.executable, "-m", "pip", "config", "list"]).splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    lines = ["[global]"]
    for name, value in settings.items():
        if name == "cert":
            yield Path(value), _CERTIFICATES
            lines.append(f"cert = {_CERTIFICATES}")
            continue
        parts = value.split()
        lines += [f"{name} = {parts[0]}", *(f"    {part}" for part in parts[1:])]
        for part in parts:
            path = Path(urlsplit(part).path)
            if path.is_absolute() and path.exists():
                # The pages of an index link to files beside it.
                folder_or_file = path.parent if part.startswith("file:") else path
                yield folder_or_file, str(folder_or_file)
    (folder / "pip.conf").write_text("\n".join(lines) + "\n")
    yield folder / "pip.conf", "/etc/pip.conf"


def _site() -> str:
    """The site that this system's own packages come from."""
    sites = checked(["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)"]).splitlines()
    return next(line.split()[0] for line in sites if line.endswith(" bookworm"))


def checked(command: list[str]) -> str:
    """Run a command and return what it printed. Raises EngineError."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise EngineError(f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def store() -> Path:
    """Where images are kept between runs; may be deleted at any time."""
    return cache() / "image"


def described(engine: Engine, image: str) -> dict[str, object]:
    """The configuration of an image: entry point, user, environment."""
    found: dict[str, object] = json.loads(engine.podman("image", "inspect", image))[0]["Config"]
    return found
