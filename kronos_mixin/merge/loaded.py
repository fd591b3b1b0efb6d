"""Whether a running Prometheus runs what a merge wrote; if not, why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from kronos_mixin.compile import rule_file_names
from kronos_mixin.merge.plan import Plan, without_dots
from kronos_mixin.merge.prometheusyml import LOADER, plain, to_data
from kronos_mixin.merge.reload import Reload
from kronos_mixin.running import differences

_MILLISECONDS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_OFF = {"", "0", "false", "no", "off", "False"}
_JUST_NOW = 60.0
"""Seconds within which a Prometheus must have read its configuration to have done so on our request."""


def missing(plan: Plan, server: Reload) -> list[str]:
    """What the reloaded Prometheus does not run as the plan has it, one sentence each; none if it runs all of it."""
    running = server.configuration()
    if running is None:
        return ["it does not say what it has read (/api/v1/status/config): is this address that of a Prometheus?"]
    wrong = [*_jobs(plan, running), *_named(plan, running)]
    if wrong:
        return [*wrong, _which_file(plan, running, server)]
    return list(_groups(plan, server)) if plan.rule_files or not plan.entries else []


def _jobs(plan: Plan, running: Mapping[str, Any]) -> Iterator[str]:
    """What of our jobs is not in the running configuration."""
    there = {job.get("job_name"): job for job in running.get("scrape_configs") or ()}
    for name in sorted((_names(plan.before)[0] - _names(plan.after)[0]) & there.keys()):
        yield f"it still has the scrape job {name}"
    for job in (to_data(plain(job)) for job in plan.entries.get("scrape_configs", ())):
        name = job["job_name"]
        if name not in there:
            yield f"it has no scrape job {name}"
        elif other := [key for key, value in job.items() if not _same(value, there[name].get(key))]:
            yield f"its scrape job {name} has another {', '.join(other)}"


def _named(plan: Plan, running: Mapping[str, Any]) -> Iterator[str]:
    """Entries for our rule files that the running configuration lacks."""
    names = {PurePosixPath(str(entry)).name for entry in running.get("rule_files") or ()}
    for entry in plan.entries.get("rule_files", ()):
        if PurePosixPath(entry).name not in names:
            yield f"its rule_files have no {entry}"


def _which_file(plan: Plan, running: Mapping[str, Any], server: Reload) -> str:
    """Why the configuration that runs is not the one that was written."""
    age = server.age()
    if age is not None and age > _JUST_NOW:
        return f"it last read its configuration {age:.0f} s ago: it was not reloaded by this address"
    file = server.file()
    by = f" (it was started with --config.file={file})" if file else ""
    if _names(running) in (_names(plan.before), _names(plan.without)):
        return (
            f"it runs {plan.config} as it was before{by}: where a container mounts that single file, it keeps the "
            "old one until it is restarted; mount the folder instead"
        )
    return f"it runs another configuration than {plan.config}{by}"


def _names(configuration: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """What tells configurations apart: the names of jobs and of rule files."""
    jobs, rules = configuration.get("scrape_configs"), configuration.get("rule_files")
    return (
        {str(job.get("job_name")) for job in jobs or () if isinstance(job, dict)}
        if isinstance(jobs, list)
        else set(),
        {PurePosixPath(str(entry)).name for entry in rules or ()} if isinstance(rules, list) else set(),
    )


def _groups(plan: Plan, server: Reload) -> Iterator[str]:
    """Groups of ours that are not loaded exactly once, as written and without an error."""
    loaded = server.groups()
    if loaded is None:
        if plan.rule_files:
            yield "it does not say which rules it runs (/api/v1/rules)"
        return
    wanted = {path.name for path in plan.rule_files}
    gone = set(rule_file_names(plan.name)) - wanted
    for file in sorted({group["file"] for group in loaded if PurePosixPath(group["file"]).name in gone}):
        yield f"it still runs {file}"
    for path, text in plan.rule_files.items():
        here = [group for group in loaded if PurePosixPath(group["file"]).name == path.name]
        groups = yaml.load(text, LOADER)["groups"]  # noqa: S506 - It is a SafeLoader.
        if groups and not here:
            yield f"it has not loaded {path}: {_hidden(path, plan.config)}"
            continue
        for group in groups:
            yield from _group(group, path, here, loaded)


def _group(group: Mapping[str, Any], path: Path, here: list[Any], loaded: list[Any]) -> Iterator[str]:
    name = group["name"]
    named = [one for one in here if one["name"] == name]
    if not named or any(not _same_rules(group, one) for one in named):
        yield (
            f"it runs {named[0]['file'] if named else path} with other rules in the group {name} than {path} holds: "
            "where a container mounts that single file, it keeps the old one until it is restarted"
        )
        return
    copies = [one["file"] for one in loaded if one["name"] == name and _same_rules(group, one)]
    if len(copies) > 1:
        yield f"it runs the group {name} {len(copies)} times: from {', '.join(copies)}"
    for rule in named[0]["rules"]:
        if rule.get("health") == "err":
            yield f"its rule {rule['name']} fails: {rule.get('lastError', 'without a reason')}"


def unreadable(plan: Plan) -> list[str]:
    """What keeps other users than their owner, and so maybe the server, from reading the rule files of the plan."""
    found = (_unreadable(path, plan.config) for path in plan.rule_files)
    return [sentence for sentence in dict.fromkeys(found) if sentence]


def _hidden(path: Path, config: Path) -> str:
    """Why a server does not find a file that its configuration names."""
    return _unreadable(path, config) or f"if it runs in a container, mount {path.parent} there, too"


def _unreadable(path: Path, config: Path) -> str:
    """What keeps other users than its owner from reading a file; empty if nothing does."""
    base = without_dots(config.parent)
    above = [folder for folder in path.parents if folder.is_relative_to(base) and folder != base] or [path.parent]
    for place, needed in [*((folder, 0o001) for folder in reversed(above)), (path, 0o004)]:
        if place.exists() and not (mode := place.stat().st_mode) & needed:
            return f"{place} has the mode {mode & 0o777:04o}: the user that the server runs as can't read it"
    return ""


def _same_rules(written: Mapping[str, Any], loaded: Mapping[str, Any]) -> bool:
    ours, theirs = written.get("rules") or [], loaded["rules"]
    return len(ours) == len(theirs) and not any(
        difference for one, other in zip(ours, theirs, strict=True) for difference in differences(one, other)
    )


def _same(written: Any, running: Any) -> bool:
    """Whether a value, its scalars as text, is what Prometheus shows for it: with full paths, without secrets."""
    if isinstance(written, dict):
        shown: Any = running if isinstance(running, dict) else {}
        return all(_same(value, shown.get(key)) for key, value in written.items())
    if isinstance(written, list):
        shown = running if isinstance(running, list) else []
        return len(written) == len(shown) and all(map(_same, written, shown))
    if running is None or isinstance(running, bool):  # It leaves out what is false.
        return (written.lower() in {"true", "yes", "on"}) == bool(running) and (
            running is not None or written in _OFF
        )
    if running == "<secret>" or written == str(running):
        return True
    one, other = _unit(written), _unit(str(running))
    return one == other or other.endswith(f"/{one}")


def _unit(text: str) -> str:
    """A duration in milliseconds, a size without the `i` of its unit, anything else as it is."""
    parts = re.findall(r"(\d+)(ms|[ywdhms])", text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return f"{sum(int(number) * _MILLISECONDS[unit] for number, unit in parts)} ms"
    return re.sub(r"(?<=\d)([KMGTPE])iB$", r"\1B", text)
