"""The Dockerfile is well made, and the build sees all that it needs. The build itself is `nox -s image`."""

from __future__ import annotations

import subprocess
import tomllib

from tests.service.server import ROOT

DOCKERFILE = (ROOT / "service/Dockerfile").read_text()


def test_hadolint_finds_nothing():
    done = subprocess.run(["hadolint", "-"], input=DOCKERFILE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    seeded = DOCKERFILE.replace("USER 10001:10001", "USER root")
    assert subprocess.run(["hadolint", "-"], input=seeded, capture_output=True, text=True, check=False).returncode


def test_the_build_sees_what_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    metadata = [project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml"]
    seen = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert {*included, *metadata, "constraints.txt"} <= seen
    copied = " ".join(line for line in DOCKERFILE.splitlines() if line.startswith("COPY"))
    assert [path for path in seen - {"*", "**/__pycache__"} if path not in copied] == []
