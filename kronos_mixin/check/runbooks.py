"""Checks runbooks: one for each alert, all with the same sections, and queries over series that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kronos_mixin import promql
from kronos_mixin.check.finding import Finding
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.series import Known, native

SECTIONS = ("Meaning", "Impact", "First steps", "Causes", "Mitigation", "When to silence", "Defaults")

# Prometheus's own metrics, for finding out why it has no data about the service.
_OF_PROMETHEUS = (
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_last_duration_seconds",
    "prometheus_sd_refresh_failures_total",
    "prometheus_target_scrapes_exceeded_sample_limit_total",
)

_HEADING = re.compile(r"^(#+) (.+?)\s*$", re.MULTILINE)
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def check(mixin: Mixin, known: Known, folder: Path) -> Iterator[Finding]:
    """Check the runbooks in ``folder``. Disabled alerts have one, too: they may be enabled again."""
    known = {**known, **native(known), **dict.fromkeys(_OF_PROMETHEUS)}
    target = set(known["up"] or ()) - {"instance"}
    names = set(mixin.config.get("alerts", {}))
    files = {path.stem: path for path in sorted(folder.glob("*.md")) if path.stem != "README"}
    for name in sorted(names - files.keys()):
        yield Finding(_name(name), "", "is missing: each alert has a runbook")
    for name, path in files.items():
        if name not in names:
            yield Finding(_name(name), "", "is the runbook of no alert")
            continue
        text = path.read_text(encoding="utf-8")
        yield from (Finding(_name(name), "", problem) for problem in _shape(name, text))
        for number, query in enumerate(_queries(text), start=1):
            reading = promql.read(query, known)
            lost = sorted(target - reading.labels.keys()) if reading.labels is not None else []
            problems = [*reading.problems, *(f"drops {label}, which tells installations apart" for label in lost)]
            yield from (Finding(_name(name), f"PromQL {number}", problem) for problem in problems)


def _name(alert: str) -> str:
    return f"runbooks/{alert}.md"


def _shape(alert: str, text: str) -> Iterator[str]:
    # Comments in code blocks are not headings.
    headings = [(len(match[1]), match[2]) for match in _HEADING.finditer(_FENCE.sub("", text))]
    if headings[:1] != [(1, alert)]:
        yield f"does not begin with the heading `# {alert}`"
    sections = [title for level, title in headings if level == 2]
    for title in SECTIONS:
        if title not in sections:
            yield f"has no section `## {title}`"
    if not set(SECTIONS) - set(sections) and sections != list(SECTIONS):
        yield f"has other sections, or in another order, than {', '.join(SECTIONS)}"
    parts = re.split(r"^## (.+?)\s*$", text, flags=re.MULTILINE)
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        if not body.strip():
            yield f"says nothing under `## {title}`"
        if title == "First steps" and len(_FENCE.findall(body)) < 3:
            yield "has fewer than three commands or queries to run under `## First steps`"


def _queries(text: str) -> Iterator[str]:
    """The PromQL blocks. Each is one query, as it is pasted into Prometheus."""
    return (body for _, language, body in _FENCE.findall(text) if language == "promql")
