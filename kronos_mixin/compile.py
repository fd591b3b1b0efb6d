"""Turns an evaluated mixin into the files that people import: monitoring/."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from kronos_mixin.jsonnet import Mixin

_HEADER = "# Compiled from mixin/ by `python build.py compile`. Don't edit: change the mixin, or its configuration.\n"

# The folders that belong to the compiler: whatever else lies in them is left over from an older mixin.
GENERATED = ("grafana", "prometheus")


def render(mixin: Mixin) -> dict[str, str]:
    """The text of every file, by its path relative to the output folder. The same mixin gives the same bytes."""
    files = {f"grafana/{name}": _json(dashboard) for name, dashboard in sorted(mixin.dashboards.items())}
    files["prometheus/kronos-rules.yml"] = _yaml({"groups": _readable(mixin.rules)})
    files["prometheus/kronos-alerts.yml"] = _yaml({"groups": _readable(mixin.alerts)})
    files["prometheus/prometheus-scrape-config.yml"] = _yaml({"scrape_configs": mixin.scrape_configs})
    return files


def write(files: Mapping[str, str], output: Path) -> None:
    """Write ``files`` below ``output`` and remove what an older mixin left there.

    Every file is first written in full under another name, so that a full disk or a lost permission leaves the
    old files as they were. Raises OSError.
    """
    staged: list[tuple[Path, Path]] = []
    try:
        for name, text in files.items():
            target = output / name
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            staged.append((Path(temporary), target))
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            Path(temporary).chmod(0o644)
        for temporary_path, target in staged:
            temporary_path.replace(target)
    finally:
        for temporary_path, _ in staged:
            temporary_path.unlink(missing_ok=True)
    for leftover in leftovers(files, output):
        leftover.unlink()


def leftovers(files: Mapping[str, str], output: Path) -> list[Path]:
    """Files of the compiler's own folders that it would not write today."""
    wanted = {output / name for name in files}
    return [
        path
        for folder in GENERATED
        for path in sorted((output / folder).glob("kronos-*"))
        if path.is_file() and path not in wanted
    ]


def _readable(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rules with their expressions laid out over lines, and the fields in the order in which people read them."""
    order = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
    return [
        {
            "name": group["name"],
            **{key: value for key, value in group.items() if key not in {"name", "rules"}},
            "rules": [
                {key: _pretty(rule[key]) if key == "expr" else rule[key] for key in order if key in rule}
                for rule in group["rules"]
            ],
        }
        for group in groups
    ]


def _pretty(expression: str) -> str:
    try:
        return promql_parser.parse(expression).prettify().strip()
    except ValueError:
        return expression  # `check` says what is wrong with it.


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: long expressions as blocks, lists indented below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(data: Any) -> str:
    return _HEADER + yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
