"""What a check of a running stack is, and how checks are run.

A check is one object, in the `CHECKS` of the module whose part of the stack it looks at, which `checks.py` lists:

    CHECKS = (
        Check(
            name="alertmanager-known",
            looks_at="the Alertmanagers that each ruler sends alerts to",
            finds="a ruler without an Alertmanager, or one that can't reach it",
            why="An alert that no Alertmanager gets tells nobody.",
            run=_known,
        ),
    )

    def _known(stack: Stack) -> Iterator[Finding]:
        if not (found := stack.ruler.get("alertmanagers")):
            yield Finding("Prometheus sends its alerts to no Alertmanager", mend="add it under `alerting:`")

It yields what it finds, and nothing if all is well. It says what it can't tell, rather than pass:

- It raises `Skip` where it doesn't apply: that server was not named, or the mixin has nothing of the kind.
- It raises `Unasked` where it wanted to ask and could not. `AnswerError` and `QueryError`, which the clients raise,
  mean the same: there is no such API, or these credentials may not use it.
- It yields a finding of severity `early` where nothing is wrong yet, but there is no data either.

What was asked for, and is no fault, is a finding of severity `note`: it leaves the check as it is.

`after` names checks whose faults would only show again here. If one of them fails, this one is not asked. A check
must leave alone what another one reports: each fault is told once, where it is mended.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from kronos_mixin.connect import AnswerError, ConnectError
from kronos_mixin.verify.api import QueryError
from kronos_mixin.verify.stack import Stack


class Skip(Exception):  # noqa: N818 - Nothing went wrong.
    """The check does not apply here; the message says why, such as "no --grafana was named"."""


class Unasked(Exception):  # noqa: N818 - What is wrong is not known.
    """The check could not be made; the message says why, and what to do about it."""


class Severity(enum.StrEnum):
    """How bad a finding is."""

    error = "error"
    """Something is not watched, or nobody is told."""
    warning = "warning"
    """It works now, but not for long, or not as well as it could."""
    early = "early"
    """Too early to tell: there is no data yet, for a reason that passes."""
    note = "note"
    """Nothing is wrong; it is worth knowing."""


class State(enum.StrEnum):
    """How a check ended, the worst last but for those that were not made."""

    ok = "ok"
    early = "early"
    warning = "warning"
    error = "error"
    skipped = "skipped"
    unasked = "unasked"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: what, the command or step that mends it, and why it matters if not as in the check."""

    wrong: str
    mend: str = ""
    why: str = ""
    severity: Severity = Severity.error


@dataclass(frozen=True)
class Check:
    """One check: its `name` as in --only, what it `looks_at`, the faults that it `finds`, `why` they matter."""

    name: str
    looks_at: str
    finds: str
    why: str
    run: Callable[[Stack], Iterable[Finding]]
    after: tuple[str, ...] = ()
    """Checks that, where they fail, leave nothing to ask here."""


@dataclass(frozen=True)
class Outcome:
    """How a check ended: with findings, or with the reason that it was not made."""

    check: Check
    state: State
    findings: tuple[Finding, ...] = ()
    reason: str = ""


def outcomes(checks: Sequence[Check], stack: Stack, chosen: Collection[str] | None = None) -> Iterator[Outcome]:
    """Make the chosen checks (None: all), one after the other; those that they come `after` are made silently."""
    ended: dict[str, State] = {}
    needed = None if chosen is None else _with_needed(checks, chosen)
    for check in checks:
        if needed is not None and check.name not in needed:
            continue
        failed = [name for name in check.after if ended.get(name) in {State.error, State.unasked, State.early}]
        outcome = (
            Outcome(check, State.unasked, reason=f"{failed[0]} has to be right first")
            if failed
            else _made(check, stack)
        )
        ended[check.name] = outcome.state
        if chosen is None or check.name in chosen:
            yield outcome


def _made(check: Check, stack: Stack) -> Outcome:
    try:
        findings = tuple(check.run(stack))
    except Skip as reason:
        return Outcome(check, State.skipped, reason=str(reason))
    except (Unasked, AnswerError, QueryError, ConnectError) as reason:
        return Outcome(check, State.unasked, reason=str(reason))
    states = [State(one.severity) for one in findings if one.severity is not Severity.note]
    worst = max(map(list(State).index, states), default=0)
    return Outcome(check, list(State)[worst], findings)


def _with_needed(checks: Sequence[Check], chosen: Collection[str]) -> set[str]:
    """The chosen checks and all that they come after."""
    after = {check.name: check.after for check in checks}
    needed, left = set[str](), list(chosen)
    while left:
        name = left.pop()
        if name not in needed:
            needed.add(name)
            left += after[name]
    return needed
