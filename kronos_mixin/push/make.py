"""Does steps, and tells of each what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kronos_mixin.changes import Verb
from kronos_mixin.connect import AnswerError
from kronos_mixin.push.step import Step

DONE = "done"


def made(steps: Sequence[Step], again: Callable[[], Sequence[Step]]) -> Iterator[tuple[Step, str]]:
    """Do the steps of one server. Each comes with its outcome: DONE, empty if there was nothing to do, or a reason.

    DONE is what was seen on the server afterwards: `again` says what is still to be done there. A step that fails
    does not keep others from being done, unless the server does not answer any more. An interruption is raised again
    once all outcomes are told.
    """
    outcomes: list[str] = []
    stopped = ""
    interruption: BaseException | None = None
    for step in steps:
        if step.make is None:
            outcomes.append("")
        elif stopped:
            outcomes.append(f"not tried: {stopped}")
        else:
            try:
                step.make()
            except AnswerError as error:
                outcomes.append(f"FAILED: {error}")
                stopped = "the server does not answer any more" if error.status is None else ""
            except (KeyboardInterrupt, SystemExit) as signal:
                outcomes.append("interrupted: it may be there, or not")
                stopped, interruption = "interrupted", signal
            else:
                outcomes.append(DONE)
    for step, outcome in zip(steps, _seen(steps, outcomes, again, stopped), strict=True):
        yield step, outcome
    if interruption is not None:
        raise interruption


def _seen(
    steps: Sequence[Step], outcomes: Sequence[str], again: Callable[[], Sequence[Step]], stopped: str
) -> list[str]:
    """The outcomes, after a look at the server."""
    if DONE not in outcomes:
        return list(outcomes)
    left: dict[str, Step] = {}
    unseen = f"accepted, but it was not seen whether it is there: {stopped}" if stopped else ""
    if not stopped:
        try:
            left = {step.key: step for step in again() if step.verb is not Verb.same}
        except AnswerError as error:
            unseen = f"accepted, but it can't be seen whether it is there: {error}"
    wrong = "FAILED: accepted, but it is not there as it was sent: look with `diff`"
    return [
        outcome if outcome != DONE else wrong if step.key in left else unseen or DONE
        for step, outcome in zip(steps, outcomes, strict=True)
    ]
