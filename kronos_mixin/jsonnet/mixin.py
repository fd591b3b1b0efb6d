"""What a mixin is: where it is entered, what it is called, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kronos_mixin.inputs import Inputs

ENTRIES = ("mixin.libsonnet", "mixin.jsonnet", "main.libsonnet")
"""What a mixin's folder is entered by."""

# Folders that say nothing about what is in them, when a name is made from a path.
_NAMELESS = {"mixin", "mixins", "jsonnet", "monitoring", "contrib", "doc", "docs", "documentation", "lib", "src"}


class CompileError(Exception):
    """A mixin, or the configuration laid over it, can't be compiled."""


@dataclass(frozen=True, slots=True)
class Mixin:
    """What a mixin holds, as plain data.

    ``dashboards`` maps file names to dashboards; ``alerts`` and ``rules`` are lists of Prometheus rule groups;
    ``scrape_configs`` is a list of Prometheus scrape jobs; ``objectives`` is one of name, title, description, target,
    window and the queries bad and valid; ``alertmanager`` is an example of its configuration;
    ``central`` are groups of alerts for a centre that receives from several servers;
    ``manifests`` are objects that run the service in Kubernetes, by path;
    ``config`` is ``_config.kronos`` with every override, empty for a mixin that has no such thing. ``name`` begins
    the names of files, ``folder`` is Grafana's.
    """

    dashboards: Mapping[str, dict[str, Any]]
    alerts: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    scrape_configs: list[dict[str, Any]] = field(default_factory=list)
    objectives: list[dict[str, Any]] = field(default_factory=list)
    alertmanager: Mapping[str, Any] = field(default_factory=dict)
    central: list[dict[str, Any]] = field(default_factory=list)
    manifests: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    name: str = "kronos"
    folder: str = ""


def entry(mixin: Path, inputs: Inputs | None = None) -> Path:
    """The file to import for ``mixin``, which may be it, or its folder. Raises CompileError if there is none."""
    inputs = inputs or Inputs()
    for path in (mixin, *(mixin / name for name in ENTRIES)):
        inputs.note(path)
    if mixin.is_file():
        return mixin
    for name in ENTRIES:
        if (mixin / name).is_file():
            return mixin / name
    if mixin.is_dir():
        raise CompileError(f"{mixin}: holds no {', '.join(ENTRIES[:-1])} or {ENTRIES[-1]}; name the file to compile")
    raise CompileError(f"{mixin}: there is no such file or folder")


def is_ours(mixin: Path) -> bool:
    """Whether it is the Kronos mixin itself, here or vendored, and not one of the many others."""
    folder = mixin if mixin.is_dir() else mixin.parent
    return (folder / "metrics.json").is_file() and (folder / "config.libsonnet").is_file()


def name_of(mixin: Path) -> str:
    """A name for the mixin's files, from its path: `node` for `.../node-mixin/mixin.libsonnet`."""
    if is_ours(mixin):
        return "kronos"
    for part in [mixin.stem, *(parent.name for parent in mixin.resolve().parents)]:
        name = part.removesuffix("-mixin").removesuffix("_mixin")
        if name and name not in _NAMELESS and part != "main":
            return "".join(char if char.isalnum() or char in "._-" else "-" for char in name)
    return "mixin"
