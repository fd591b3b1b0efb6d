"""Checks of what hides our alerts in Alertmanager while it lasts: inhibitions and silences."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from kronos_mixin.verify.check import Check, Finding, Severity, Unasked
from kronos_mixin.verify.inhibition import Inhibition, inhibitions
from kronos_mixin.verify.matchers import Matcher
from kronos_mixin.verify.receivers import EXAMPLE, alertmanager_of, named
from kronos_mixin.verify.routing import texts
from kronos_mixin.verify.sent import Alert
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed

_OPERATORS = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
"""By whether the value is a regular expression, and whether it has to match."""


def _inhibited(stack: Stack) -> Iterator[Finding]:
    manager, found = alertmanager_of(stack), [alert for alert in stack.alerts if alert.sent is not None]
    try:
        wanted, running = inhibitions(texts(stack.mixin.alertmanager)), inhibitions(manager.routing.config)
    except ValueError as error:
        raise Unasked(f"an inhibition of {manager.url} can't be read: {error}") from error
    places = list(_by_place(found, stack.identity).values())
    yield from _within(places[0], wanted, running)
    yield from _across(places, running, stack.identity)
    yield from _by_others(found, running, manager.alerts)


def _by_place(found: Iterable[Alert], identity: Sequence[str]) -> dict[tuple[str, ...], list[Alert]]:
    """The alerts of each installation, those on one instance only for its first."""
    places: dict[tuple[str, ...], dict[tuple[tuple[str, str], ...], Alert]] = {}
    for alert in found:
        place = tuple(alert.labels.get(label, "") for label in identity if label != "instance")
        own = tuple((label, value) for label, value in sorted(alert.labels.items()) if label not in identity)
        places.setdefault(place, {}).setdefault(own, alert)
    return {place: list(several.values()) for place, several in places.items()}


def _within(found: Sequence[Alert], wanted: Sequence[Inhibition], running: Sequence[Inhibition]) -> Iterator[Finding]:
    """Report mutes of the example that do not hold, and critical alerts that others of ours mute without it."""
    missing: dict[str, set[str]] = {}
    more: dict[str, set[str]] = {}
    held = False
    for source, target in itertools.permutations(found, 2):
        should = any(rule.mutes(source.labels, target.labels) for rule in wanted)
        does = any(rule.mutes(source.sent or {}, target.sent or {}) for rule in running)
        held |= should and does
        if should and not does:
            missing.setdefault(source.name, set()).add(target.name)
        elif does and not should and target.severity == "critical":
            more.setdefault(named(source), set()).add(named(target))
    if missing:
        sentences = [f"{one} does not mute {listed(sorted(others))}" for one, others in sorted(missing.items())]
        yield Finding(
            "; ".join(sentences) if held else f"none of the inhibitions of {EXAMPLE} is there",
            f"add the inhibit_rules of {EXAMPLE}",
            severity=Severity.warning,
        )
    for name, names in more.items():
        yield Finding(
            f"{name} mutes {listed(sorted(names))}",
            "narrow the inhibit_rules down: what is critical must be heard",
            why="Somebody is to be called, and is not.",
        )


def _across(
    places: Sequence[Sequence[Alert]], running: Sequence[Inhibition], identity: Sequence[str]
) -> Iterator[Finding]:
    """Report alerts of one installation that mute those of another, which may be ill in another way."""
    muted: set[tuple[str, str]] = set()
    for source, target in itertools.product(places[0], [alert for place in places[:2] for alert in place]):
        given = source.sent or {}
        if target not in places[0]:
            muted |= {(source.name, target.name) for rule in running if rule.mutes(given, target.sent or {})}
            continue
        # Rules for all alerts may be as wide as this for good reasons, as long as there is one installation.
        elsewhere = {**given, **{label: "elsewhere" for label in identity if label in given}}
        ours = [rule for rule in running if not rule.is_source({**given, "alertname": "Another"})]
        muted |= {(source.name, target.name) for rule in ours if rule.mutes(elsewhere, target.sent or {})}
    if muted:
        sources, targets = sorted({one for one, _ in muted}), sorted({other for _, other in muted})
        yield Finding(
            f"{listed(sources)} of one installation mute {listed(targets)} of every other",
            f"give these inhibit_rules the labels in `equal` that those of {EXAMPLE} have",
            why="What is down here says nothing about what is ill there.",
            severity=Severity.warning,
        )


def _by_others(
    found: Sequence[Alert], running: Sequence[Inhibition], there: Iterable[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Report alerts of others that fire now and mute ours."""
    own = {alert.name for alert in found}
    firing = [one["labels"] for one in there if one["labels"].get("alertname") not in own]
    muted: dict[str, set[str]] = {}
    for rule in running:
        sources = [labels for labels in firing if rule.is_source(labels)]
        for alert in found if sources else ():
            for source in sources:
                if rule.mutes(source, alert.sent or {}):
                    muted.setdefault(source.get("alertname", "an alert without a name"), set()).add(named(alert))
    for name, names in muted.items():
        yield Finding(
            f"{name}, which fires now, mutes {listed(sorted(names))}",
            "narrow down the inhibit_rules that have it as a source, unless that is what you want while it fires",
            why="While it fires, nobody hears of these.",
        )


def _silenced(stack: Stack) -> Iterator[Finding]:
    found = [alert for alert in stack.alerts if alert.sent is not None]
    for silence in alertmanager_of(stack).silences:
        rules = _of_silence(silence)
        if not rules:  # Newer ones may have several sets of matchers, which this API does not show.
            continue
        hidden = sorted({named(alert) for alert in found if _hides(rules, alert)})
        if not hidden:
            continue
        waits = silence["status"]["state"] == "pending"
        critical = any(alert.severity == "critical" and _hides(rules, alert) for alert in found)
        yield Finding(
            f"a silence {'will hide' if waits else 'hides'} {listed(hidden)} until {silence['endsAt']}: "
            f"{{{', '.join(map(str, rules))}}}, by {silence['createdBy'] or 'nobody'} ({silence['comment']})",
            f"amtool silence expire {silence['id']}, unless it is meant",
            severity=Severity.error if critical and not waits else Severity.warning,
        )


def _of_silence(silence: Mapping[str, Any]) -> list[Matcher]:
    return [
        Matcher(one["name"], _OPERATORS[one["isRegex"], one.get("isEqual", True)], one["value"])
        for one in silence["matchers"]
    ]


def _hides(rules: Iterable[Matcher], alert: Alert) -> bool:
    """Whether a silence hides an alert, or those of its kind that have the right values in labels we can't know."""
    return all(rule.label in alert.open or rule.matches(alert.sent or {}) for rule in rules)


_check = partial(Check, after=("alertmanager-answers", "alerts-relabelled"))
CHECKS = (
    _check(
        name="inhibitions",
        looks_at="which alerts mute ours",
        finds="inhibitions of the example that are missing or too wide; alerts of others that mute ours now",
        why="One outage is told many times, and what matters is lost among it.",
        run=_inhibited,
    ),
    _check(
        name="silences",
        looks_at="silences that hide our alerts",
        finds="a silence that is forgotten, too wide, or begins soon",
        why="Nobody hears of what a silence hides.",
        run=_silenced,
    ),
)
