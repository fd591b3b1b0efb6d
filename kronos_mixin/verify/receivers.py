"""Checks of what Alertmanager does with our alerts: routes, mute times, inhibitions and silences."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from kronos_mixin.verify.alertmanager import Alertmanager
from kronos_mixin.verify.check import Check, Finding, Severity, Unasked
from kronos_mixin.verify.inhibition import Inhibition, inhibitions
from kronos_mixin.verify.matchers import Matcher
from kronos_mixin.verify.routing import Routing, RoutingError, Stop, texts
from kronos_mixin.verify.sent import Alert
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed

_EXAMPLE = "alertmanager/alertmanager-example.yml"
_LESSER = {"info", "none"}
"""Severities that may go nowhere on purpose."""
_OPERATORS = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
"""By whether the value is a regular expression, and whether it has to match."""


def _receivers(stack: Stack) -> Iterator[Finding]:
    told: dict[str, dict[str, set[str]]] = {}
    nobody: dict[tuple[str, bool], set[str]] = {}
    others: set[str] = set()
    routing = _one(stack).routing
    for alert, stops in _stops(stack):
        heard = [stop for stop in stops if not routing.is_empty(stop.receiver)]
        if not heard:
            nobody.setdefault((stops[0].receiver, alert.severity in _LESSER), set()).add(alert.name)
        elif all(stop.is_root for stop in heard):
            others.add(_named(alert))
        for stop in heard:
            told.setdefault(stop.receiver, {}).setdefault(alert.severity, set()).add(alert.name)
    for (receiver, lesser), names in nobody.items():
        yield Finding(
            f"the receiver {receiver}, to which {listed(sorted(names))} would go, has no integration",
            f"give it one, or the alerts a route of their own, as in {_EXAMPLE}",
            severity=Severity.warning if lesser else Severity.error,
        )
    if others:
        yield Finding(
            f"{routing.default}, the receiver of all that no route takes, gets {listed(sorted(others))}",
            f"add the route of {_EXAMPLE}, with receivers of your own",
            why="Whoever reads what is left over may not be who answers for Kronos.",
            severity=Severity.warning,
        )
    yield from _idle(stack)
    for receiver, several in told.items():
        by_severity = (
            f"{severity or 'without a severity'}: {', '.join(sorted(names))}" for severity, names in several.items()
        )
        yield Finding(f"{receiver} hears of {'; '.join(by_severity)}", severity=Severity.note)


def _idle(stack: Stack) -> Iterator[Finding]:
    """Report routes for our alerts alone that get none of them."""
    sent = [alert.sent for alert in stack.alerts if alert.sent is not None]
    try:
        found = _one(stack).routing.idle(sent)
    except RoutingError as error:
        raise Unasked(f"the routes of {_one(stack).url} can't be followed: {error}") from error
    for idle in found:
        route = "{" + "} {".join(", ".join(map(str, matchers)) for matchers in idle.path) + "}"
        why = f": {{{', '.join(map(str, idle.taker))}}} before it takes them all" if idle.taker else ""
        yield Finding(
            f"the route {route} gets none of our alerts{why}",
            "put it before that one, or let that one continue" if idle.taker else "correct its matchers",
            why="What it is there for goes to another receiver.",
            severity=Severity.warning,
        )


def _mute_times(stack: Stack) -> Iterator[Finding]:
    routing, now = _one(stack).routing, datetime.now(UTC)
    muted: dict[tuple[tuple[str, ...], str | None], set[str]] = {}
    for alert, stops in _stops(stack):
        heard = [stop for stop in stops if not routing.is_empty(stop.receiver)]
        if heard and all(stop.muted or stop.active for stop in heard):
            silent = [routing.silent(stop, now) for stop in heard]
            names = tuple(dict.fromkeys(name for stop in heard for name in (*stop.muted, *stop.active)))
            muted.setdefault((names, silent[0] if all(silent) else None), set()).add(_named(alert))
    for (intervals, silent_now), several in muted.items():
        critical = any("critical" in name for name in several)
        yield Finding(
            f"{listed(sorted(several))} are told at some times only ({listed(intervals)})"
            + (f", and not now, by {silent_now}" if silent_now else ""),
            "take mute_time_intervals and active_time_intervals off the routes of what must be heard at any time",
            severity=Severity.warning if critical or silent_now else Severity.note,
        )


def _inhibited(stack: Stack) -> Iterator[Finding]:
    manager, found = _one(stack), [alert for alert in stack.alerts if alert.sent is not None]
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
            more.setdefault(_named(source), set()).add(_named(target))
    if missing:
        sentences = [f"{one} does not mute {listed(sorted(others))}" for one, others in sorted(missing.items())]
        yield Finding(
            "; ".join(sentences) if held else f"none of the inhibitions of {_EXAMPLE} is there",
            f"add the inhibit_rules of {_EXAMPLE}",
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
            f"give these inhibit_rules the labels in `equal` that those of {_EXAMPLE} have",
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
                    muted.setdefault(source.get("alertname", "an alert without a name"), set()).add(_named(alert))
    for name, names in muted.items():
        yield Finding(
            f"{name}, which fires now, mutes {listed(sorted(names))}",
            "narrow down the inhibit_rules that have it as a source, unless that is what you want while it fires",
            why="While it fires, nobody hears of these.",
        )


def _silenced(stack: Stack) -> Iterator[Finding]:
    found = [alert for alert in stack.alerts if alert.sent is not None]
    for silence in _one(stack).silences:
        rules = _of_silence(silence)
        if not rules:  # Newer ones may have several sets of matchers, which this API does not show.
            continue
        hidden = sorted({_named(alert) for alert in found if _hides(rules, alert)})
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


def _stops(stack: Stack) -> Iterator[tuple[Alert, list[Stop]]]:
    routing: Routing = _one(stack).routing
    for alert in stack.alerts:
        if alert.sent is not None:
            try:
                yield alert, routing.stops(alert.sent)
            except RoutingError as error:
                raise Unasked(f"the routes of {_one(stack).url} can't be followed: {error}") from error


def _one(stack: Stack) -> Alertmanager:
    """The Alertmanager to ask; the members of a cluster have the same configuration and silences."""
    return stack.alertmanagers[0]


def _named(alert: Alert) -> str:
    """An alert by its name, and its severity where there may be several."""
    return f"{alert.name} ({alert.severity})" if alert.severity else alert.name


_check = partial(Check, after=("alertmanager-answers", "alerts-relabelled"))
CHECKS = (
    _check(
        name="receivers",
        looks_at="the receiver that each of our alerts leads to",
        finds="alerts that lead to a receiver without an integration, or to the default one; routes for our alerts "
        "that get none of them",
        why="A receiver without an integration tells nobody.",
        run=_receivers,
    ),
    _check(
        name="mute-times",
        looks_at="times at which routes say nothing",
        finds="routes with mute_time_intervals or active_time_intervals on the way of a critical alert",
        why="At these times nobody hears of it.",
        run=_mute_times,
    ),
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
