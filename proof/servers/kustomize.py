"""kustomize, from PATH or from Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from proof.servers.debian import debian
from proof.servers.process import ProcessError


def overlay(
    folder: Path, base: Path, components: Sequence[Path] = (), further: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return the objects of a base with components, from an overlay that is written into `folder`; as `build`.

    `further` are fields of the overlay, such as patches.
    """
    data = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [_relative(base, folder)],
        "components": [_relative(path, folder) for path in components],
        **(further or {}),
    }
    (folder / "kustomization.yml").write_text(yaml.safe_dump(data))
    return build(folder)


def build(folder: Path) -> list[dict[str, Any]]:
    """Return the objects of the kustomization in `folder`.

    Raises ProcessError with what kustomize wrote, and Missing if it can't be had.
    """
    program = shutil.which("kustomize") or debian("forky", ("kustomize",)) / "usr/bin/kustomize"
    done = subprocess.run([program, "build", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProcessError(f"kustomize build {folder}:\n{done.stderr}")
    return list(yaml.safe_load_all(done.stdout))


def _relative(path: Path, folder: Path) -> str:
    """kustomize takes no absolute paths."""
    return os.path.relpath(path.resolve(), folder.resolve())
