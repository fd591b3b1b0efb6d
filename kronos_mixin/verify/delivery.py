"""Checks of the way from the rulers to Alertmanager, and from there to people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial

from kronos_mixin.connect import AnswerError, ConnectError, Connection, is_here
from kronos_mixin.verify.alertmanager import Alertmanager, Destinations
from kronos_mixin.verify.check import Check, Finding, Severity, Unasked
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed

_LOCKED = {401, 403, 407}
_WRONG = ("refused", "WRONG_VERSION_NUMBER")
"""What says that nothing listens at an address, or not by TLS, wherever it is asked from."""

_DISCOVERY = 15.0
"""Seconds after a reload within which Prometheus finds the Alertmanagers that it has in its configuration."""


def _known(stack: Stack) -> Iterator[Finding]:
    silent = [url for url, found in stack.destinations.items() if found is None]
    if silent and stack.connections.alertmanager is None:
        raise Unasked(
            f"{listed(silent)} does not say where it sends alerts: name the Alertmanager by --alertmanager URL"
        )
    for url, found in stack.destinations.items():
        if found is None:
            continue
        if not found.active and not found.dropped and _reloading(stack, url):
            yield Finding(
                f"{url} has just read its configuration, and looks for its Alertmanagers",
                "run this again in a minute",
                severity=Severity.early,
            )
        elif not found.active:
            dropped = f": relabelling leaves out the {found.dropped} that it discovers" if found.dropped else ""
            yield Finding(
                f"{url} sends its alerts to no Alertmanager{dropped}",
                "correct relabel_configs under alerting.alertmanagers"
                if found.dropped
                else "name it under alerting.alertmanagers in prometheus.yml, or by -notifier.url of vmalert",
            )
        yield from _failing(url, found)
        if stack.connections.alertmanager:
            yield from _another(url, found, stack.alertmanagers[0])


def _reloading(stack: Stack, url: str) -> bool:
    """Whether a ruler, which has Alertmanagers in its configuration, may not have come to them yet."""
    (ruler,) = (one for one in stack.rulers if one.url == url)
    configured = (stack.configuration.get("alerting") or {}).get("alertmanagers")
    return bool(configured) and ruler.since is not None and stack.now - ruler.since < _DISCOVERY


def _failing(url: str, found: Destinations) -> Iterator[Finding]:
    """Alertmanagers that a ruler can't send to."""
    for one in found.active:
        if one.failed and one.failed == one.sent:
            yield Finding(
                f"{url} could send none of {one.sent:.0f} alerts to {one.url} since it started",
                "see its log: is that address right, with its path, and may it be reached from there?",
            )


def _another(url: str, found: Destinations, named: Alertmanager) -> Iterator[Finding]:
    """Report a ruler that sends to other Alertmanagers than the one that was named, or to none."""
    try:
        _ = named.status
    except AnswerError:  # Another check tells.
        return
    others, unknown, is_known = [], [], False
    for one in found.active:
        try:
            with closing(Alertmanager(Connection.to(one.url))) as known:
                same = named.is_same(known)
            is_known |= same
            others += [] if same else [one.url]
        except (AnswerError, ConnectError) as error:
            if (one.sent and not one.failed) or not _is_certain(error, one.url, url):
                unknown.append(one.url)
                continue
            yield Finding(
                f"{url} sends its alerts to {one.url}, where no Alertmanager answers: {error}",
                f"correct scheme, address and path_prefix under alerting.alertmanagers: {named.url} does answer",
            )
    if is_known:
        return
    if unknown:
        yield Finding(
            f"whether {listed(unknown)}, where {url} sends alerts, is {named.url} can't be told from here",
            severity=Severity.note,
        )
    elif others:
        yield Finding(
            f"{url} sends its alerts to {listed(others)}, which is not {named.url}",
            "name the one that gets the alerts, or let the ruler send them there",
        )


def _is_certain(error: AnswerError | ConnectError, url: str, ruler: str) -> bool:
    """Whether what can't be reached from here can't be reached from where the ruler is, either."""
    if is_here(url) and not is_here(ruler):
        return False
    status = getattr(error, "status", None)
    if status is not None:
        return status not in _LOCKED
    return any(sign in str(error) for sign in _WRONG)


def _answers(stack: Stack) -> Iterator[Finding]:
    named = stack.connections.alertmanager is not None
    for one in stack.alertmanagers:
        try:
            _ = one.status
        except AnswerError as error:
            if not named and not _is_certain(error, one.url, stack.rulers[0].url):
                raise Unasked(
                    f"{error}: name it as it can be reached from here, by --alertmanager URL, or with credentials, "
                    "in --connections FILE"
                ) from error
            mend = (
                "give credentials: authorization or basic_auth of alertmanager in --connections FILE"
                if error.forbidden
                else "start it, or correct its address, with the path below which it listens"
            )
            yield Finding(str(error), mend)
            continue
        yield from _loaded(one)


def _loaded(one: Alertmanager) -> Iterator[Finding]:
    try:
        reloads = one.metrics.of("alertmanager_config_last_reload_successful")
    except AnswerError:  # Where only its API is let through.
        return
    if any(value == 0 for _, value in reloads):
        yield Finding(
            f"{one.url} could not read its configuration when it was reloaded last, and runs the one before",
            "amtool check-config alertmanager.yml says what is wrong in it",
            severity=Severity.warning,
        )


def _cluster(stack: Stack) -> Iterator[Finding]:
    several = [one.url for one in stack.alertmanagers]
    for one in stack.alertmanagers:
        if one.status["cluster"]["status"] == "settling":
            yield Finding(f"{one.url} is joining its cluster", "run this again in a minute", severity=Severity.early)
            return
    apart = _apart(stack.alertmanagers)
    if len(apart) > 1:
        yield Finding(
            f"of the Alertmanagers {listed(several)} some don't know each other",
            "let each join the others: --cluster.peer",
            why="Each tells everybody of each alert, and a silence on one does not hold on the others.",
            severity=Severity.warning,
        )
    known = {url for found in stack.destinations.values() if found for url in (one.url for one in found.active)}
    for one in stack.alertmanagers[:1]:
        if known and len(apart) == 1 and len(known) < len(one.peers):
            yield Finding(
                f"the cluster of {one.url} has {len(one.peers)} members, and the rulers send to {len(known)} of them",
                "name every member under alerting.alertmanagers, and no load balancer",
                why="While that one is down, no alert gets through, though the others are up.",
                severity=Severity.warning,
            )


def _apart(members: Sequence[Alertmanager]) -> list[Alertmanager]:
    """One of each group that does not know the others."""
    apart: list[Alertmanager] = []
    for one in members:
        if not any(one.is_same(other) for other in apart):
            apart.append(one)
    return apart


def _notifies(stack: Stack) -> Iterator[Finding]:
    for one in stack.alertmanagers:
        tried = one.metrics.by("integration", "alertmanager_notification_requests_total")
        failed = one.metrics.by("integration", "alertmanager_notification_requests_failed_total")
        for integration, count in tried.items():
            if count and failed.get(integration) == count:
                yield Finding(
                    f"none of {count:.0f} notifications by {integration} got through since {one.url} started",
                    f"see its log: are the addresses and keys of its {integration}_configs right?",
                    severity=Severity.warning,
                )


_check = partial(Check, after=("alertmanager-answers",))
CHECKS = (
    Check(
        name="alertmanager-known",
        looks_at="where each ruler sends alerts",
        finds="a ruler without an Alertmanager, with another than the one that was named, or that can't send to it",
        why="An alert that reaches no Alertmanager tells nobody.",
        run=_known,
        after=("rulers-answer",),
    ),
    Check(
        name="alertmanager-answers",
        looks_at="whether Alertmanager can be reached, and has read its configuration",
        finds="an Alertmanager that is down, a wrong path, a configuration with an error in it",
        why="An Alertmanager that does not answer tells nobody.",
        run=_answers,
        after=("alertmanager-known",),
    ),
    _check(
        name="alertmanager-cluster",
        looks_at="whether the Alertmanagers know each other",
        finds="members that have not joined, rulers that send to some of the members only",
        why="Members that don't know each other tell everything twice.",
        run=_cluster,
    ),
    _check(
        name="notifications-sent",
        looks_at="whether notifications get through",
        finds="an integration all of whose notifications fail: a wrong address, an expired key",
        why="Alertmanager knows of the alert, and nobody else.",
        run=_notifies,
    ),
)
