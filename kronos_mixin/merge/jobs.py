"""Which job is scraped, and which one rules select by: what the user says, an earlier merge, the mixin itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kronos_mixin.config import Config
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.merge.prometheusyml import Refused


def before(held: Mapping[str, list[Any]]) -> tuple[str | None, list[str]]:
    """Job and targets that an earlier merge has added, maybe edited since."""
    for job in held.get("scrape_configs", []):
        if isinstance(job, dict):
            groups = [group for group in job.get("static_configs") or [] if isinstance(group, dict)]
            return job.get("job_name"), [str(target) for group in groups for target in group.get("targets") or []]
    return None, []


def laid(job: str | None, targets: list[str]) -> tuple[list[Config], list[Config]]:
    """What --job and --target mean to the Kronos mixin: below and above the user's own configuration."""
    below: list[Config] = []
    scrape: dict[str, Any] = {}
    if job:
        selector = job.replace("\\", "\\\\").replace('"', '\\"')
        below.append({"kronos": {"selector": f'job="{selector}"', "expectedTargets": [{"job": job}]}})
        scrape["job"] = job
    if targets:
        scrape["targets"] = targets
    return below, [{"kronos": {"scrape": scrape}}] if scrape else []


def of_another(mixin: Mixin, job: str | None, targets: list[str]) -> list[dict[str, Any]]:
    """Scrape jobs of another mixin; few bring one."""
    jobs = list(mixin.scrape_configs)
    if not (job or targets):
        return jobs
    if not jobs and not (job and targets):
        raise Refused(f"the mixin {mixin.name} has no scrape job: name both, --job and --target, or none")
    if len(jobs) > 1:
        raise Refused(f"the mixin {mixin.name} has {len(jobs)} scrape jobs: change them with --config")
    named = {"job_name": job} if job else {}
    return [{**(jobs[0] if jobs else {}), **named, **({"static_configs": [{"targets": targets}]} if targets else {})}]
