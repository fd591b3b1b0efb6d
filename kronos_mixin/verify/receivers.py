"""Checks of where Alertmanager sends our alerts, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from kronos_mixin.verify.alertmanager import Alertmanager
from kronos_mixin.verify.check import Check, Finding, Severity, Unasked
from kronos_mixin.verify.routing import Routing, RoutingError, Stop
from kronos_mixin.verify.sent import Alert
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed

EXAMPLE = "alertmanager/alertmanager-example.yml"
_LESSER = {"info", "none"}
"""Severities that may go nowhere on purpose."""


def _receivers(stack: Stack) -> Iterator[Finding]:
    told: dict[str, dict[str, set[str]]] = {}
    nobody: dict[tuple[str, bool], set[str]] = {}
    others: set[str] = set()
    routing = alertmanager_of(stack).routing
    for alert, stops in _stops(stack):
        heard = [stop for stop in stops if not routing.is_empty(stop.receiver)]
        if not heard:
            nobody.setdefault((stops[0].receiver, alert.severity in _LESSER), set()).add(alert.name)
        elif all(stop.is_root for stop in heard):
            others.add(named(alert))
        for stop in heard:
            told.setdefault(stop.receiver, {}).setdefault(alert.severity, set()).add(alert.name)
    for (receiver, lesser), names in nobody.items():
        yield Finding(
            f"the receiver {receiver}, to which {listed(sorted(names))} would go, has no integration",
            f"give it one, or the alerts a route of their own, as in {EXAMPLE}",
            severity=Severity.warning if lesser else Severity.error,
        )
    if others:
        yield Finding(
            f"{routing.default}, the receiver of all that no route takes, gets {listed(sorted(others))}",
            f"add the route of {EXAMPLE}, with receivers of your own",
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
        found = alertmanager_of(stack).routing.idle(sent)
    except RoutingError as error:
        raise Unasked(f"the routes of {alertmanager_of(stack).url} can't be followed: {error}") from error
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
    routing, now = alertmanager_of(stack).routing, datetime.now(UTC)
    muted: dict[tuple[tuple[str, ...], str | None], set[str]] = {}
    for alert, stops in _stops(stack):
        heard = [stop for stop in stops if not routing.is_empty(stop.receiver)]
        if heard and all(stop.muted or stop.active for stop in heard):
            silent = [routing.silent(stop, now) for stop in heard]
            names = tuple(dict.fromkeys(name for stop in heard for name in (*stop.muted, *stop.active)))
            muted.setdefault((names, silent[0] if all(silent) else None), set()).add(named(alert))
    for (intervals, silent_now), several in muted.items():
        critical = any("critical" in name for name in several)
        yield Finding(
            f"{listed(sorted(several))} are told at some times only ({listed(intervals)})"
            + (f", and not now, by {silent_now}" if silent_now else ""),
            "take mute_time_intervals and active_time_intervals off the routes of what must be heard at any time",
            severity=Severity.warning if critical or silent_now else Severity.note,
        )


def _stops(stack: Stack) -> Iterator[tuple[Alert, list[Stop]]]:
    routing: Routing = alertmanager_of(stack).routing
    for alert in stack.alerts:
        if alert.sent is not None:
            try:
                yield alert, routing.stops(alert.sent)
            except RoutingError as error:
                raise Unasked(f"the routes of {alertmanager_of(stack).url} can't be followed: {error}") from error


def alertmanager_of(stack: Stack) -> Alertmanager:
    """The Alertmanager to ask; the members of a cluster have the same configuration and silences."""
    return stack.alertmanagers[0]


def named(alert: Alert) -> str:
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
)
