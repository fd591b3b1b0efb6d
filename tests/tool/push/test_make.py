from __future__ import annotations

import pytest

from kronos_mixin.changes import Verb
from kronos_mixin.connect import AnswerError
from kronos_mixin.push.make import DONE, made
from kronos_mixin.push.step import Step


def step(key, error=None, verb=Verb.add):
    def make():
        if error is not None:
            raise error

    return Step(verb, key, key, make=make if verb is not Verb.same else None)


def nothing():
    return []


def outcomes(steps, again=nothing):
    return [outcome for _, outcome in made(steps, again)]


def test_a_failure_does_not_keep_others_from_being_done():
    refused = step("b", AnswerError("no", 400))
    assert outcomes([step("a"), refused, step("c"), step("d", verb=Verb.same)]) == [DONE, "FAILED: no", DONE, ""]


def test_a_server_that_is_gone_is_asked_no_more():
    found = outcomes([step("a"), step("b", AnswerError("can't be reached")), step("c")])
    assert found[0].startswith("accepted, but it was not seen")
    assert found[1:] == ["FAILED: can't be reached", "not tried: the server does not answer any more"]


def test_done_is_what_was_seen():
    (found,) = outcomes([step("a")], again=lambda: [step("a", verb=Verb.change)])
    assert found.startswith("FAILED: accepted, but it is not there")

    def fail():
        raise AnswerError("gone")

    (found,) = outcomes([step("a")], again=fail)
    assert found == "accepted, but it can't be seen whether it is there: gone"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(143)])
def test_an_interruption_is_told_step_by_step_and_then_goes_on(interruption):
    found = made([step("a"), step("b", interruption), step("c")], nothing)
    told = [outcome for _, (_, outcome) in zip(range(3), found, strict=False)]
    with pytest.raises(type(interruption)):
        next(found)
    assert told[0].startswith("accepted, but it was not seen")
    assert told[1] == "interrupted: it may be there, or not"
    assert told[2] == "not tried: interrupted"
