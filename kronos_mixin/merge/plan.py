"""The changes to files that add a mixin to a Prometheus configuration, or remove it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from kronos_mixin.compile import has_header, rule_file_names, rule_files
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.merge import splice
from kronos_mixin.merge.blocks import entries_of
from kronos_mixin.merge.conflicts import groups_elsewhere, refuse_taken_jobs
from kronos_mixin.merge.prometheusyml import MergeError, to_data, tree

FOLDER = "kronos-mixin"
"""Where rule files go, beside the configuration, if the user names no other place."""


@dataclass(slots=True)
class Plan:
    """A change to a configuration and its rule files. ``config`` is the path as the user gave it, maybe a link."""

    config: Path
    name: str
    old: str
    new: str
    entries: splice.Entries
    rule_files: dict[Path, str] = field(default_factory=dict)
    """Those to write, also where the content is there already."""
    obsolete: list[Path] = field(default_factory=list)
    """Rule files of ours that are not read any more."""
    notes: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return (
            self.old != self.new
            or bool(self.obsolete)
            or any(_differs(path, text) for path, text in self.rule_files.items())
        )


def read(config: Path) -> str:
    """The text of a configuration, unchanged. Raises MergeError if it can't be read."""
    try:
        content = config.read_bytes()
    except OSError as error:
        raise MergeError(error.strerror or str(error)) from None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise MergeError(f"is not UTF-8, as Prometheus wants it: {error.reason} at byte {error.start}") from None


def plan_merge(
    config: Path,
    mixin: Mixin,
    jobs: Sequence[Mapping[str, Any]],
    rules_dir: Path | None = None,
    options: Sequence[str] = (),
) -> Plan:
    """Plan to add the mixin's rules and the scrape ``jobs`` to ``config``, which remembers ``options``.

    Raises MergeError for a file that can't be added to, a job name that is taken, and a rule group that exists
    elsewhere with other rules.
    """
    old = read(config)
    data = {key: to_data(value) for key, value in tree(old).items()}
    held = entries_of(old, mixin.name)
    folder = without_dots(rules_dir) if rules_dir else _folder_of(config, held)
    texts = {folder / name: text for name, text in rule_files(mixin).items()}
    theirs = _without(data, held, mixin.name)
    refuse_taken_jobs(config, theirs, jobs)
    for path, text in texts.items():
        if path.is_file() and _differs(path, text) and not _ours(path):
            raise MergeError(
                f"{path} is there and was not written by this program: move it, or name another --rules-dir"
            )
    notes = groups_elsewhere(config, theirs, texts)
    entries: splice.Entries = {
        "rule_files": [_entry(config, path, theirs.get("rule_files")) for path in texts],
        "scrape_configs": list(jobs),
    }
    try:
        new = splice.merge(old, mixin.name, entries, options)
    except MergeError as error:
        raise MergeError(f"{error}.\nAdd these lines to it by hand:\n\n{splice.by_hand(entries)}") from None
    return Plan(config, mixin.name, old, new, entries, texts, _obsolete(config, held, mixin.name, set(texts)), notes)


def plan_unmerge(config: Path, name: str, rules_dir: Path | None = None) -> Plan:
    """Plan to remove the mixin ``name`` and its rule files from ``config``. Raises MergeError."""
    old = read(config)
    held = entries_of(old, name)
    obsolete = _obsolete(config, held, name, set())
    if rules_dir:
        named = [without_dots(rules_dir) / file for file in rule_file_names(name)]
        obsolete += [path for path in named if path not in obsolete and _ours(path)]
    return Plan(config, name, old, splice.unmerge(old, name), {}, obsolete=obsolete)


def describe(plan: Plan, whole: bool = False) -> list[str]:
    """The change as a unified diff; rule files are summarised unless ``whole``."""
    lines = list(_diff(str(plan.config), plan.old, plan.new))
    for path, text in plan.rule_files.items():
        if not path.is_file():
            lines.append(f"+ new file {path} ({len(re.findall('^ *- (?:alert|record):', text, re.MULTILINE))} rules)")
        elif _differs(path, text):
            changes = list(_diff(str(path), path.read_text(encoding="utf-8"), text))
            added, removed = (sum(line.startswith(sign) for line in changes[2:]) for sign in "+-")
            lines += changes if whole else [f"~ file {path} ({added} lines more, {removed} less)"]
    return lines + [f"- file {path}" for path in plan.obsolete]


def without_dots(path: Path) -> Path:
    """The absolute path without `..`, so that one file has one name however it was given."""
    plain = Path(os.path.normpath(path.absolute()))
    # Where `..` leads out of a linked folder, it leads elsewhere than the words say.
    return plain if plain.resolve() == path.resolve() else path.resolve()


def _without(data: Mapping[str, Any], held: Mapping[str, list[Any]], name: str) -> dict[str, Any]:
    """The configuration without what our own block holds."""
    theirs = dict(data)
    names = rule_file_names(name)
    for key, items in held.items():
        ours = [item for item in items if not isinstance(item, str) or PurePath(item).name in names]
        theirs[key] = [item for item in data[key] if item not in ours]
    return theirs


def _folder_of(config: Path, held: Mapping[str, list[Any]]) -> Path:
    """The folder of the existing rule files, or the default."""
    base = without_dots(config.parent)
    here = held.get("rule_files", [])
    return without_dots(base / here[0]).parent if here and isinstance(here[0], str) else base / FOLDER


def _entry(config: Path, path: Path, patterns: Any) -> str:
    """How rule_files names a file: relative to the configuration where possible, so that both can move together."""
    if any(char in str(path) for char in "*?[\\"):
        raise MergeError(f"{path}: Prometheus would take this name for a pattern; name another --rules-dir")
    # Prometheus knows a file that two entries name by its name only, and would run its rules twice.
    absolute = (pattern for pattern in patterns or () if isinstance(pattern, str) and pattern.startswith("/"))
    base = without_dots(config.parent)
    if not path.is_relative_to(base) or any(path.match(pattern) for pattern in absolute):
        return str(path)
    return path.relative_to(base).as_posix()


def _obsolete(config: Path, held: Mapping[str, list[Any]], name: str, wanted: set[Path]) -> list[Path]:
    """Rule files in our block that are no longer wanted, and that still have our header."""
    base = without_dots(config.parent)
    paths = [without_dots(base / entry) for entry in held.get("rule_files", []) if isinstance(entry, str)]
    names = rule_file_names(name)
    return [path for path in paths if path not in wanted and path.name in names and _ours(path)]


def _ours(path: Path) -> bool:
    try:
        return has_header(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_bytes() != text.encode()


def _diff(name: str, old: str, new: str) -> Iterator[str]:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, f"{name} (new)", lineterm="")
    return iter(lines)
