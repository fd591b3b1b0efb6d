"""The changes to files that add a mixin to a Prometheus configuration, or remove it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import yaml

from kronos_mixin.changes import Verb, of_file
from kronos_mixin.compile import example_links, refuse_invalid, rule_file_names, rule_files
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.merge import edits, splice
from kronos_mixin.merge.blocks import Remembered, entries_of
from kronos_mixin.merge.conflicts import all_jobs, groups_elsewhere, refuse_taken_jobs
from kronos_mixin.merge.patterns import Patterns
from kronos_mixin.merge.placed import is_ours, marked, placed
from kronos_mixin.merge.prometheusyml import LOADER, MergeError, is_agents, plain, refuse_others, to_data, tree
from kronos_mixin.merge.surroundings import Surroundings

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
    def before(self) -> dict[str, Any]:
        """The configuration as it is, every scalar as text."""
        return _data(self.old)

    @property
    def after(self) -> dict[str, Any]:
        """The configuration as it will be, every scalar as text."""
        return _data(self.new)

    @property
    def without(self) -> dict[str, Any]:
        """The configuration without what is ours, every scalar as text."""
        return _without(self.before, entries_of(self.old, self.name), self.name)

    @property
    def held(self) -> list[str]:
        """What it puts in, in words."""
        jobs = [f"the scrape job {job}" for job in self.jobs]
        return [*([f"{len(self.groups)} rule groups"] if self.rule_files else []), *jobs]

    @property
    def groups(self) -> list[str]:
        """The names of the rule groups that it puts in."""
        texts = self.rule_files.values()
        return [group["name"] for text in texts for group in yaml.load(text, LOADER)["groups"]]  # noqa: S506

    @property
    def jobs(self) -> list[str]:
        """The names of the scrape jobs that it puts in."""
        return [job["job_name"] for job in self.entries.get("scrape_configs", ())]

    @property
    def files(self) -> dict[Path, Verb]:
        """What becomes of each file, as they are now."""
        return {
            self.config: Verb.same if self.old == self.new else Verb.change,
            **{path: of_file(path, text) for path, text in self.rule_files.items()},
            **dict.fromkeys(self.obsolete, Verb.remove),
        }

    @property
    def patterns(self) -> Patterns:
        """All patterns by which Prometheus finds files, before the change and after it."""
        keys = ("rule_files", "scrape_config_files")
        return Patterns.of(self.config, *(side.get(key) for side in (self.before, self.after) for key in keys))

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return any(verb is not Verb.same for verb in self.files.values())


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
    *,
    scrape_only: bool | None = None,
    restore: bool = False,
) -> Plan:
    """Plan to add the mixin's rules and the scrape ``jobs`` to ``config``, which remembers ``options``.

    What users have changed in our jobs stays; ``restore`` writes a job again that they have removed.
    ``scrape_only`` leaves the rules out; None: unless the configuration is an agent's, which must be said. Raises
    MergeError for a file that can't be added to, a job name that is taken, and a rule group that exists elsewhere
    with other rules.
    """
    old, base = read(config), without_dots(config.parent)
    held = entries_of(old, mixin.name)
    theirs = _without(_data(old), held, mixin.name)
    refuse_others(theirs)
    if scrape_only is None and "rule_files" not in held and is_agents(theirs):
        raise MergeError(
            "has remote_write and no rules, as an agent's configuration, which must not have any: say --scrape-only, "
            "and load the rules where the metrics are stored, or --no-scrape-only if this Prometheus evaluates rules"
        )
    patterns = Patterns.of(config, theirs.get("rule_files"))
    before = _before(config, held, mixin.name, patterns)
    folder = without_dots(rules_dir) if rules_dir else before[0].parent if before else base / FOLDER
    rules = {} if scrape_only else {folder / name: text for name, text in rule_files(mixin).items()}
    around = Surroundings(mixin, theirs, all_jobs(config, theirs)) if mixin.config else None
    if around is not None:
        jobs = [around.fitted(job) for job in jobs]
    wrote = {job["job_name"]: edits.digests(job) for job in jobs}
    edited, kept_jobs = edits.kept(old, mixin.name, jobs, restore=restore)
    entries: splice.Entries = {
        # A pattern of theirs may find a file already. By a second name, Prometheus would run its rules twice.
        "rule_files": [_entry(base, path) for path in rules if not patterns.covering(path)],
        "scrape_configs": kept_jobs,
    }
    remembered = () if any(entries.values()) else options
    texts = {path: marked(text, remembered) for path, text in rules.items()}
    refuse_taken_jobs(config, theirs, jobs)
    for path, text in texts.items():
        if of_file(path, text) is Verb.change and not is_ours(path):
            raise MergeError(
                f"{path} is there and was not written by this program: move it, or name another --rules-dir"
            )
    notes = [*refuse_invalid(mixin), *groups_elsewhere(config, theirs, texts)]
    if texts and not before and (warning := example_links(mixin)):
        notes.append(warning)
    if around is not None and texts:
        notes += around.warnings([to_data(plain(job)) for job in kept_jobs])
    new = splice.merge(edited, mixin.name, entries, Remembered(options, wrote))
    obsolete = [path for path in before if path not in texts and is_ours(path)]
    return Plan(config, mixin.name, old, new, entries, texts, obsolete, notes)


def plan_unmerge(config: Path, name: str, rules_dir: Path | None = None) -> Plan:
    """Plan to remove the mixin ``name`` and its rule files from ``config``. Raises MergeError."""
    old = read(config)
    patterns = Patterns.of(config, _data(old).get("rule_files"))
    obsolete = _before(config, entries_of(old, name), name, patterns)
    if rules_dir:
        obsolete += [without_dots(rules_dir) / file for file in rule_file_names(name)]
    obsolete = [path for path in dict.fromkeys(obsolete) if is_ours(path)]
    return Plan(config, name, old, splice.unmerge(old, name), {}, obsolete=obsolete)


def describe(plan: Plan, whole: bool = False) -> list[str]:
    """The change as a unified diff; rule files are summarised unless ``whole``."""
    lines = list(_diff(str(plan.config), plan.old, plan.new))
    for path, text in plan.rule_files.items():
        verb = of_file(path, text)
        if verb is Verb.add:
            lines.append(f"+ new file {path} ({len(re.findall('^ *- (?:alert|record):', text, re.MULTILINE))} rules)")
        elif verb is Verb.change:
            changes = list(_diff(str(path), path.read_text(encoding="utf-8"), text))
            added, removed = (sum(line.startswith(sign) for line in changes[2:]) for sign in "+-")
            lines += changes if whole else [f"~ file {path} ({added} lines more, {removed} less)"]
    return lines + [f"- file {path}" for path in plan.obsolete]


def without_dots(path: Path) -> Path:
    """The absolute path without `..`, so that one file has one name however it was given."""
    plain = Path(os.path.normpath(path.absolute()))
    # Where `..` leads out of a linked folder, it leads elsewhere than the words say.
    return plain if plain.resolve() == path.resolve() else path.resolve()


def _data(text: str) -> dict[str, Any]:
    return {key: to_data(value) for key, value in tree(text).items()}


def _without(data: Mapping[str, Any], held: Mapping[str, list[Any]], name: str) -> dict[str, Any]:
    """The configuration without what our own block holds."""
    theirs = dict(data)
    names = rule_file_names(name)
    for key, items in held.items():
        ours = [item for item in items if not isinstance(item, str) or PurePath(item).name in names]
        theirs[key] = [item for item in data[key] if item not in ours]
    return theirs


def _entry(base: Path, path: Path) -> str:
    """How rule_files names a file: relative to the configuration where possible, so that both can move together."""
    if any(char in str(path) for char in "*?[\\"):
        raise MergeError(f"{path}: Prometheus would take this name for a pattern; name another --rules-dir")
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _before(config: Path, held: Mapping[str, list[Any]], name: str, patterns: Patterns) -> list[Path]:
    """Where an earlier merge has put the rule files of the mixin ``name``."""
    base = without_dots(config.parent)
    entries = [base / entry for entry in held.get("rule_files", []) if isinstance(entry, str)]
    found = [path for path in entries if path.name in rule_file_names(name)]
    return list(dict.fromkeys(map(without_dots, [*found, *placed(patterns, name)])))


def _diff(name: str, old: str, new: str) -> Iterator[str]:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, f"{name} (new)", lineterm="")
    return iter(lines)
