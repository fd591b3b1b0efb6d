"""Makes steps, and says what they are."""

from __future__ import annotations

from collections.abc import Iterable

from kronos_mixin.changes import Verb
from kronos_mixin.push.step import Step


def verbs(steps: Iterable[Step]) -> dict[str, Verb]:
    return {step.key: step.verb for step in steps}


def make(steps: Iterable[Step]) -> None:
    for step in steps:
        if step.make:
            step.make()
