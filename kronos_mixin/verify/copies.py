"""Checks that each process is scraped once, and by a job that the rules read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kronos_mixin import promql
from kronos_mixin.verify.api import Sample
from kronos_mixin.verify.check import Check, Finding, Severity
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import difference, listed

DEDUPLICATE = (
    "deduplicate what two servers write: by replica labels in Thanos, the HA tracker in Mimir, equal labels and "
    "-dedup.minScrapeInterval in VictoriaMetrics"
)


def _once(stack: Stack) -> Iterator[Finding]:
    # No two processes took exactly as long to load their model.
    loads: dict[float, list[Sample]] = {}
    for sample in stack.alive("kronos_model_load_seconds"):
        if sample.value > 0:  # It has loaded one.
            loads.setdefault(sample.value, []).append(sample)
    for several in loads.values():
        ours = [one for one in several if stack.selects(one.labels)]
        keys = {stack.key(one.labels) for one in ours}
        if len(keys) > 1:
            yield Finding(
                f"one process is scraped as {listed([stack.named(key) for key in keys])}",
                "name it once in the targets of the scrape job, or drop the other address in relabel_configs",
            )
        elif len(ours) > len(keys):
            yield Finding(
                f"each series of {stack.named(min(keys))} is there {len(ours)} times: they differ in "
                f"{difference(ours)}",
                f"{DEDUPLICATE}; or scrape it in one job only",
            )
        others = {one.labels.get("job", "") for one in several if not stack.selects(one.labels)}
        if ours and others:
            yield Finding(
                f"{stack.named(min(keys))} is scraped by the job {listed(sorted(others))}, too",
                "take it out of one of the jobs",
                why="It costs twice the memory, and queries without a job count it twice.",
                severity=Severity.warning,
            )
    yield from _sharing(stack)
    yield from _colliding(stack)


def _sharing(stack: Stack) -> Iterator[Finding]:
    """Processes that look like one to the rules."""
    found: dict[tuple[str, ...], dict[float, Sample]] = {}
    for sample in stack.alive("kronos_model_load_seconds"):
        if sample.value > 0 and stack.selects(sample.labels):
            found.setdefault(stack.key(sample.labels), {})[sample.value] = sample
    for key, several in found.items():
        if len(several) > 1:
            yield Finding(
                f"{len(several)} processes are called {stack.named(key)}: they differ in "
                f"{difference(list(several.values()))}",
                "add that label to the knob aggregationLabels",
                why="The rules take them for one.",
            )


def _colliding(stack: Stack) -> Iterator[Finding]:
    """Targets whose series have the same labels."""
    urls: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for target in stack.targets:
        urls.setdefault(tuple(sorted(target.labels.items())), set()).add(target.url)
    for labels, several in urls.items():
        if len(several) > 1:
            yield Finding(
                f"{listed(sorted(several))} all have the labels {', '.join('='.join(pair) for pair in labels)}",
                "take out what gives them the same instance in relabel_configs",
                why="Their series overwrite each other, and counters seem to be reset all the time.",
            )


def _watched(stack: Stack) -> Iterator[Finding]:
    # What our own targets are called is told by other checks.
    ours = {target.labels.get("instance") for target in stack.targets}
    others = Counter(
        one.labels.get("job", "")
        for one in stack.alive("kronos_build_info")
        if not stack.selects(one.labels) and one.labels.get("instance") not in ours
    )
    if not others:
        return
    read = [
        selector
        for ruler in stack.rulers
        for group in ruler.groups
        for rule in group["rules"]
        if "kronos_" in rule["query"]
        for selector in promql.read(rule["query"], {}).selectors
    ]
    for job, count in sorted(others.items()):
        if not any(all(m.lets_through(job) for m in one.matchers if m.label == "job") for one in read):
            yield Finding(
                f"{count} instances are scraped by the job {job}, which no rule reads: the rules select by "
                f"{{{stack.selector}}}",
                f"add rules for it: kronos-mixin merge PROMETHEUS_YML --name {job} --job {job} --rules-only",
                severity=Severity.warning,
            )


CHECKS = (
    Check(
        name="targets-once",
        looks_at="whether each process is scraped once, and has its own name",
        finds="a process under two addresses or in two jobs; replicas of a Prometheus without deduplication; two "
        "processes of one name",
        why="Every rate is doubled, or two instances look like one.",
        run=_once,
        after=("targets-found",),
    ),
    Check(
        name="jobs-watched",
        looks_at="other jobs that scrape Kronos",
        finds="instances in a job that no rule reads, such as a second job where one was expected",
        why="No alert fires for them.",
        run=_watched,
        after=("targets-found",),
    ),
)
