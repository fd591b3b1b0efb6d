"""Checks of what the rules record, and of what the alerts read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kronos_mixin import promql, windows
from kronos_mixin.verify.check import Check, Finding, Severity, Skip
from kronos_mixin.verify.copies import DEDUPLICATE
from kronos_mixin.verify.exposed import ON_THE_WAY, Exposed
from kronos_mixin.verify.ruler import Ruler
from kronos_mixin.verify.rules import last_evaluation, ours_in
from kronos_mixin.verify.scraping import LATE
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.target import pace
from kronos_mixin.verify.words import ago, difference, listed

_AT_ONCE = 5.0
"""Seconds after which a Prometheus surely shows what it recorded itself."""


def _there(stack: Stack) -> Iterator[Finding]:
    """Whether each record exists whose expression had a result before: low traffic leaves many without one."""
    counts = {one.labels["__name__"] for one in stack.ask(f"count by (__name__) ({_every(stack)})")}
    wanted = {rule["record"] for group in stack.mixin.rules for rule in group["rules"]}
    missing: dict[tuple[str, bool], list[str]] = {}
    for ruler, group in ours_in(stack):
        interval, own = float(group.get("interval") or 60), ruler.url == stack.prometheus.url
        late = 2 * interval + (_AT_ONCE if own else LATE)
        if last_evaluation(group) is None:
            continue  # Another check tells.
        for rule in group["rules"]:
            if rule["name"] not in wanted or rule["name"] in counts or rule.get("health") == "err":
                continue
            # What it reads may have ended just now.
            if all(stack.prometheus.query(rule["query"], at=at) for at in (stack.now - late, stack.now)):
                since = ruler.since
                early = since is None or stack.now - since < late
                missing.setdefault((ruler.url, early and since is not None), []).append(rule["name"])
        present = [rule["name"] for rule in group["rules"] if rule["name"] in counts]
        yield from _stale(stack, ruler, group, present, late)
    for (url, early), names in missing.items():
        if early:
            yield Finding(
                f"{listed(names)} should be there soon: {url} has just read its rules",
                "run this again in a minute",
                severity=Severity.early,
            )
        else:
            yield Finding(
                f"{url} records {listed(names)}, which {stack.prometheus.url} lacks, though there is data for it",
                "let it write to where you query (-remoteWrite.url of vmalert, remote_write of others), and let "
                "nothing drop it on the way (write_relabel_configs)",
            )


def _stale(
    stack: Stack, ruler: Ruler, group: Mapping[str, Any], present: list[str], late: float
) -> Iterator[Finding]:
    """Whether what a group records is as fresh as it should be. Its rules are evaluated one after the other."""
    for name in present[:1]:
        for newest in stack.ask(f"max(timestamp({name}{{{stack.selector}}}))"):
            if (age := stack.now - newest.value) > late + LATE:
                yield Finding(
                    f"the last {name} came {ago(age)}, though {ruler.url} evaluates {group['name']} every "
                    f"{windows.duration(float(group.get('interval') or 60))}",
                    "look at what sends it here: the log of the ruler, and how far its queue is behind",
                )


def _once(stack: Stack) -> Iterator[Finding]:
    labels = sorted(_labels(stack) | set(stack.identity))
    for twice in stack.ask(f"topk(1, count by (__name__, {', '.join(labels)}) ({_every(stack)}) > 1)"):
        own = ",".join(f'{label}="{value}"' for label, value in twice.labels.items() if label != "__name__")
        copies = stack.ask(f'{{__name__="{twice.labels["__name__"]}",{own}}}')
        yield Finding(
            f"{twice.labels['__name__']} is there {twice.value:.0f} times: they differ in {difference(copies)}",
            f"let one ruler write it, or {DEDUPLICATE}",
            why="Sums over it are doubled, and joins fail for duplicates.",
        )
        return
    for group in stack.groups[:1]:
        name = group["rules"][0]["record"]
        interval = windows.seconds(group["interval"])
        times: dict[str, list[float]] = {}
        for sample in stack.ask(f"{name}{{{stack.selector}}}[5m]"):
            times.setdefault(str(sorted(sample.labels.items())), []).append(sample.timestamp)
        apart = min((found for each in times.values() if (found := pace(each)) is not None), default=interval)
        if apart < 0.6 * interval:
            yield Finding(
                f"{name} has a sample every {apart:g} s, and should every {group['interval']}: two rulers write it",
                "let one ruler write it",
                why="Two of different versions overwrite each other.",
            )


def _labels(stack: Stack) -> set[str]:
    """The labels by which recorded series can rightly differ."""
    found = {label for metric in stack.contract.metrics.values() for label in metric.labels} | {"le"}
    for group in stack.mixin.rules:
        for rule in group["rules"]:
            known = dict.fromkeys(re.findall(r"[a-zA-Z_:][\w:]*", str(rule["expr"])))
            found |= set(promql.read(str(rule["expr"]), known).labels or ()) | set(rule.get("labels") or ())
    return found


def _every(stack: Stack) -> str:
    """The selector of everything that is recorded. Raises Skip if nothing is, as by rules for a shard."""
    if not stack.mixin.rules:
        raise Skip("these rules record nothing")
    names = sorted({rule["record"] for group in stack.mixin.rules for rule in group["rules"]})
    return f'{{__name__=~"{"|".join(names)}",{stack.selector}}}'


def _inputs(stack: Stack) -> Iterator[Finding]:
    """Whether what alerts read beside the contract, of the process and of the scrape, is there."""
    exposed = Exposed.of(stack)
    records = {rule["record"]: str(rule["expr"]) for group in stack.mixin.rules for rule in group["rules"]}
    readers: dict[str, set[str]] = {}
    for group in stack.mixin.alerts:
        for rule in group["rules"]:
            for name in _leaves(str(rule["expr"]), records):
                readers.setdefault(name, set()).add(rule["alert"])
    for name, alerts in sorted(readers.items()):
        external = stack.contract.external.get(name)
        if external is None or not external.of_target:
            continue
        if without := exposed.targets - exposed.having(name):
            yield Finding(
                f"there is no {name} of {listed([stack.named(key) for key in sorted(without)])}, which "
                f"{listed(sorted(alerts))} reads",
                f"take out what drops it on the way ({ON_THE_WAY})",
            )


def _leaves(expr: str, records: Mapping[str, str]) -> set[str]:
    """The series that an expression reads from a scrape, through those that are recorded."""
    left, seen, found = [expr], set[str](), set[str]()
    while left:
        for name in promql.read(left.pop(), {}).series - seen:
            seen.add(name)
            if name in records:
                left.append(records[name])
            else:
                found.add(name)
    return found


def _retention(stack: Stack) -> Iterator[Finding]:
    if not stack.mixin.rules:
        raise Skip("these rules record no error budget")
    told = str(stack.runtime.get("storageRetention", ""))
    days = re.match(r"(\d+[ywdhms]\S*)", told)
    if not days:
        raise Skip("the server does not say how long it keeps samples")
    needed = stack.mixin.config["objectives"]["retention"]
    if windows.seconds(days[1]) < windows.seconds(needed):
        yield Finding(
            f"Prometheus keeps samples for {days[1]}, and the error budget is computed over {needed}",
            f"start Prometheus with --storage.tsdb.retention.time={needed}, or set objectives: "
            f"{{retention: {days[1]}}} in your --config",
        )


CHECKS = (
    Check(
        name="recorded-series",
        looks_at="whether what is recorded is there, and fresh",
        finds="a ruler that writes nowhere, elsewhere or late; recorded series that are dropped on the way",
        why="Alerts and dashboards read recorded series.",
        run=_there,
        after=("rulers-answer",),
    ),
    Check(
        name="recorded-once",
        looks_at="whether each recorded series is there once",
        finds="two rulers that write into one store; a label that each adds; missing deduplication",
        why="What is there twice is counted twice.",
        run=_once,
        after=("groups-once",),
    ),
    Check(
        name="alert-inputs",
        looks_at="series of the process and of the scrape that alerts read",
        finds="an alert whose input can never arrive, such as process_* dropped by relabelling",
        why="The alert never fires.",
        run=_inputs,
        after=("targets-found",),
    ),
    Check(
        name="retention",
        looks_at="how long samples are kept, against the error budget's window",
        finds="a retention that is shorter than configured",
        why="A budget over less than its window looks fuller, or emptier, than it is.",
        run=_retention,
        after=("prometheus-answers",),
    ),
)
