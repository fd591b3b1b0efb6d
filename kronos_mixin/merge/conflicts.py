"""Scrape jobs and rule groups of a mixin that the configuration already has from elsewhere."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from kronos_mixin.merge.patterns import Patterns
from kronos_mixin.merge.prometheusyml import LOADER, MergeError
from kronos_mixin.promql import pretty


def refuse_taken_jobs(config: Path, theirs: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]]) -> None:
    """Raise MergeError if the user has a job with the name of one of ``jobs``, in ``theirs`` or a file that it names.

    ``theirs`` is the configuration without what is ours.
    """
    wanted = {job["job_name"] for job in jobs}
    for file, entries in [(config, theirs.get("scrape_configs")), *_other_jobs(config, theirs)]:
        for entry in entries if isinstance(entries, list) else ():
            if (job := _job_name(entry)) in wanted:
                where = "" if file == config else f"{file} "
                raise MergeError(
                    f"{where}has a job {job} already, which this program did not add: add the rules alone "
                    f"(--job {shlex.quote(str(job))} --rules-only), or choose another name (--job NAME)"
                )


def all_jobs(config: Path, theirs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every scrape job of the configuration, and of the files that it names."""
    lists = [theirs.get("scrape_configs"), *(entries for _, entries in _other_jobs(config, theirs))]
    return [entry for entries in lists if isinstance(entries, list) for entry in entries if isinstance(entry, dict)]


def _job_name(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None
    name: str | None = entry.get("job_name") or _job_name(entry.get("<<"))
    return name


def _other_jobs(config: Path, theirs: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Scrape jobs in files that the configuration names."""
    for path in Patterns.of(config, theirs.get("scrape_config_files")).files():
        data = _load(path)
        yield path, data.get("scrape_configs") if isinstance(data, dict) else None


def groups_elsewhere(config: Path, theirs: Mapping[str, Any], texts: Mapping[Path, str]) -> list[str]:
    """Warnings about rule groups of ours that other files hold, too. Raises MergeError if their rules differ."""
    ours = {group["name"]: group for text in texts.values() for group in yaml.load(text, LOADER)["groups"]}  # noqa: S506
    notes = []
    for path in Patterns.of(config, theirs.get("rule_files")).files():
        if path in texts:
            continue
        data = _load(path)
        groups = data.get("groups") if isinstance(data, dict) else None
        for group in groups if isinstance(groups, list) else ():
            name = group.get("name") if isinstance(group, dict) else None
            if name not in ours:
                continue
            if _normal(group) != _normal(ours[name]):
                raise MergeError(
                    f"{path} has a rule group {name} with other rules: remove that file from rule_files first"
                )
            notes.append(
                f"{path} holds the rule group {name}, too: it will run twice; remove that file from rule_files"
            )
    return notes


def _normal(group: Mapping[str, Any]) -> Any:
    """A group without differences in layout."""
    rules = [
        {
            key: pretty(str(value)) if key == "expr" else value
            for key, value in rule.items()
            if value not in ({}, None)
        }
        for rule in group.get("rules") or ()
        if isinstance(rule, dict)
    ]
    return {**group, "rules": rules}


def _load(path: Path) -> Any:
    """A file's data; None for what can't be read, which promtool and Prometheus say better."""
    try:
        return yaml.load(path.read_bytes(), LOADER)  # noqa: S506 - It is a SafeLoader.
    except (OSError, yaml.YAMLError):
        return None
