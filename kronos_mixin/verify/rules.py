"""Checks of the rules: each group there once, as compiled, healthy, and evaluated in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from kronos_mixin import windows
from kronos_mixin.connect import AnswerError
from kronos_mixin.running import differences
from kronos_mixin.verify.check import Check, Finding, Severity, Unasked
from kronos_mixin.verify.ruler import Ruler
from kronos_mixin.verify.scraping import LATE
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import ago, listed, shortened

_LOAD = "load what kronos-mixin compile writes, or kronos-mixin merge PROMETHEUS_YML, with the same --config as here"


def _answer(stack: Stack) -> Iterator[Finding]:
    for ruler in stack.rulers:
        try:
            groups = ruler.groups
        except AnswerError as error:
            if not stack.connections.rulers:
                raise Unasked(f"{error}: name who evaluates the rules by --ruler URL") from error
            yield Finding(str(error), "give the address below which it has /api/v1/rules: --ruler URL")
            continue
        if not groups and not stack.connections.rulers and "revision" not in stack.build:
            raise Unasked(f"{ruler.url} evaluates no rules: name who does, such as vmalert, by --ruler URL")


def _once(stack: Stack) -> Iterator[Finding]:
    wanted = {group["name"]: group for group in stack.groups}
    missing = [name for name in wanted if not any(ruler.loaded(name) for ruler in stack.rulers)]
    rulers = " or ".join(ruler.url for ruler in stack.rulers)
    if missing:
        which = "none of our groups is" if len(missing) == len(wanted) else f"{listed(missing)} is not"
        yield Finding(f"{which} loaded by {rulers}", _LOAD)
    for ruler in stack.rulers:
        for name in wanted:
            if len(copies := ruler.loaded(name)) > 1:
                files = listed([str(one.get("file")) for one in copies])
                yield Finding(
                    f"{ruler.url} runs the group {name} {len(copies)} times: from {files}",
                    "take all but one of these files out of its rules",
                    why="Both write the same series, and Prometheus refuses one of each two samples.",
                )
        yield from _others(stack, ruler, wanted)


def _others(stack: Stack, ruler: Ruler, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    """Groups with our rules that the configuration does not compile to."""
    ours = {_name(rule): str(rule["expr"]) for group in stack.groups for rule in group["rules"]}
    bases = {name.partition(":")[0] for name in wanted}
    left: dict[str, list[Mapping[str, Any]]] = {}
    for group in ruler.groups:
        if group["name"] in wanted:
            continue
        # A rule that is the same but for its threshold would read the same job.
        same = [rule["name"] for rule in group["rules"] if rule["name"] in ours and stack.selector in rule["query"]]
        base, _, job = group["name"].partition(":")
        if same:
            yield Finding(
                f"the group {group['name']} ({group.get('file')}) has {listed(same)}, as one of our groups has",
                "take out the older of both",
                why="Both write the same series, or fire the same alert.",
            )
        elif base in bases and job:
            left.setdefault(job, []).append(group)
    yield from (_left(job, groups) for job, groups in left.items() if not stack.alive(f'up{{job="{job}"}}'))


def _left(job: str, groups: Sequence[Mapping[str, Any]]) -> Finding:
    """Rules of another installation, which has gone."""
    files = listed(sorted({str(group.get("file")) for group in groups}))
    which = f"the group {groups[0]['name']}" if len(groups) == 1 else f"{len(groups)} groups"
    read = "reads" if len(groups) == 1 else "read"
    if any((rule.get("labels") or {}).get("drill") for group in groups for rule in group["rules"]):
        return Finding(
            f"{which} of a drill that has not ended ({files}) {read} the job {job}, which has no targets",
            "kronos-mixin drill PROMETHEUS_YML --prometheus URL --clean",
            why="Its rules cost time, and its alerts may still fire for some minutes.",
            severity=Severity.warning,
        )
    return Finding(
        f"{which} ({files}) {read} the job {job}, which has no targets",
        "take them out, with `kronos-mixin unmerge PROMETHEUS_YML --name NAME` if merge put them there",
        why="Their KronosTargetMissing fires for ever.",
        severity=Severity.warning,
    )


def _equal(stack: Stack) -> Iterator[Finding]:
    for ruler in stack.rulers:
        external = _external_labels(stack, ruler)
        for group in stack.groups:
            for running in ruler.loaded(group["name"])[:1]:
                if wrong := list(_group_differences(group, running, external)):
                    more = f"; and {len(wrong) - 2} more differences" if len(wrong) > 2 else ""
                    yield Finding(f"{group['name']}: {'; '.join(wrong[:2])}{more}", _LOAD)


def _external_labels(stack: Stack, ruler: Ruler) -> dict[str, str]:
    """What every rule of ours has as a label: vmalert shows its -external.label there."""
    rules = [rule for group in stack.groups for one in ruler.loaded(group["name"]) for rule in one["rules"]]
    labels = [set((rule.get("labels") or {}).items()) for rule in rules]
    return dict(set.intersection(*labels)) if labels else {}


def _group_differences(
    written: Mapping[str, Any], running: Mapping[str, Any], external: Mapping[str, str]
) -> Iterator[str]:
    interval = windows.seconds(str(written.get("interval", "0s")))
    if interval and float(running.get("interval") or interval) != interval:
        yield f"its interval is {windows.duration(float(running['interval']))} instead of {written['interval']}"
    ours, theirs = Counter(map(_name, written["rules"])), Counter(rule["name"] for rule in running["rules"])
    yield from (f"{name} is missing" for name in (ours - theirs).elements())
    yield from (f"{name} is there, and should not" for name in (theirs - ours).elements())
    if ours == theirs:
        for one, other in zip(written["rules"], running["rules"], strict=True):
            own = (one.get("labels") or {}).keys()
            added = {label for label in external if label not in own}
            shown = {label: text for label, text in (other.get("labels") or {}).items() if label not in added}
            for difference in differences(one, {**other, "labels": shown}):
                yield f"{_name(one)}: {difference}"


def _healthy(stack: Stack) -> Iterator[Finding]:
    for ruler, group in ours_in(stack):
        for rule in group["rules"]:
            if rule.get("health") == "err" or rule.get("lastError"):
                yield Finding(
                    f"{rule['name']} of {group['name']} fails: "
                    f"{shortened(rule.get('lastError') or 'without a reason')}",
                    f"see {ruler.url}/rules; an error that names our own rule is a mistake of ours: please tell us",
                )


def _evaluated(stack: Stack) -> Iterator[Finding]:
    never = []
    for ruler, group in ours_in(stack):
        interval, last = float(group.get("interval") or 60), last_evaluation(group)
        took = group.get("evaluationTime") or sum(rule.get("evaluationTime") or 0 for rule in group["rules"])
        if last is None:
            never.append(group["name"])
        elif (age := stack.now - last) > 2 * interval + LATE:
            yield Finding(
                f"{ruler.url} last evaluated {group['name']} {ago(age)}, and has to every "
                f"{windows.duration(interval)}",
                "look at its log and load: is it still the one that evaluates rules?",
            )
        if took > interval:
            yield Finding(
                f"{ruler.url} takes {took:.1f} s to evaluate {group['name']}, which has an interval of "
                f"{windows.duration(interval)}",
                "give it more CPU, or set a longer evaluationInterval, and windows, in your --config",
            )
    if never:
        yield Finding(
            f"{listed(never)} {'has' if len(never) == 1 else 'have'} not been evaluated yet",
            "run this again in a minute",
            severity=Severity.early,
        )


def ours_in(stack: Stack) -> Iterator[tuple[Ruler, dict[str, Any]]]:
    """Every group of ours that any ruler runs."""
    wanted = {group["name"] for group in stack.groups}
    for ruler in stack.rulers:
        yield from ((ruler, group) for group in ruler.groups if group["name"] in wanted)


def last_evaluation(group: Mapping[str, Any]) -> float | None:
    """When a group was last evaluated, in Unix seconds; None: not yet."""
    text = str(group.get("lastEvaluation") or "")
    if not text or text.startswith("0001"):
        return None
    return datetime.fromisoformat(text).timestamp()


def _name(rule: Mapping[str, Any]) -> str:
    return str(rule.get("alert", rule.get("record")))


_check = partial(Check, after=("rulers-answer",))
CHECKS = (
    Check(
        name="rulers-answer",
        looks_at="who evaluates the rules",
        finds="a ruler that can't be reached, or an address that is not one",
        why="Without a ruler no alert fires.",
        run=_answer,
        after=("prometheus-answers",),
    ),
    _check(
        name="groups-once",
        looks_at="whether each group is loaded once",
        finds="files that are not loaded, or twice; groups that were left over under an older name or job",
        why="What is not loaded does not fire.",
        run=_once,
    ),
    _check(
        name="rules-equal",
        looks_at="whether the rules that run are those that your configuration compiles to",
        finds="rules of an older version or of another --config; a threshold, `for`, label, annotation or interval "
        "that was edited",
        why="They alert on something other than you think.",
        run=_equal,
    ),
    _check(
        name="rules-healthy",
        looks_at="errors of the rules",
        finds="rules whose last evaluation failed: limits, duplicate series, a query that was refused",
        why="A rule that fails records nothing, and does not fire.",
        run=_healthy,
    ),
    _check(
        name="rules-evaluated",
        looks_at="when each group was evaluated, and how long it took",
        finds="a ruler that has stopped, is stuck or is overloaded",
        why="Alerts are as late as the evaluation.",
        run=_evaluated,
    ),
)
