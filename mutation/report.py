"""The score, by kind of mistake and by gate, and the survivors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kronos_mixin.documents import fill
from kronos_mixin.documents.reference import table as markdown
from mutation.allowed import ALLOWED
from mutation.places import Mutant

DOCUMENT = "docs/mutation.md"


@dataclass(frozen=True)
class Found:
    """A mistake, the gate that caught it, what that said, and how many seconds of CPU time it took."""

    mutant: Mutant
    gate: str
    said: str
    seconds: float

    @property
    def allowed(self) -> str:
        """Why it need not be caught, if so."""
        if self.gate != "survived":
            return ""
        one = self.mutant
        text = f"{one.operator}: {one.file}: {one.old} -> {one.new} | {one.after}"
        return next((reason for pattern, reason in ALLOWED.items() if re.search(pattern, text)), "")

    @property
    def survived(self) -> bool:
        """Whether nothing caught it, and nobody said why."""
        return self.gate in {"survived", "trouble"} and not self.allowed

    @property
    def counts(self) -> bool:
        """Whether it is a mistake at all: it changes something that matters to somebody."""
        return self.gate != "equivalent" and not self.allowed


def table(found: Iterable[Found], seed: int, before: float) -> str:
    """Markdown: the score, the kinds, the gates, the survivors, and those that are allowed.

    `before` is how many seconds of CPU time went by before the first mistake.
    """
    found = list(found)
    counted = [one for one in found if one.counts]
    caught = [one for one in counted if not one.survived]
    unchanged = sum(one.gate == "equivalent" for one in found)
    allowed = [one for one in found if one.allowed]
    minutes = (before + sum(one.seconds for one in found)) / 60
    score = 100 * len(caught) / max(1, len(counted))
    parts = [
        (
            f"**{len(caught)} of {len(counted)} mistakes were caught: {score:.1f} %.** {len(found)} were tried "
            f"(seed {seed}, {minutes:.0f} minutes of CPU time); {unchanged} of them compiled to the same, "
            f"whatever the knobs, and {len(allowed)} make no difference to anybody, for reasons below."
        ),
    ]
    by_gate = Counter(one.gate for one in caught)
    parts.append(markdown(("gate", "mistakes caught"), ((gate, str(n)) for gate, n in by_gate.most_common())))
    kinds = dict.fromkeys(one.mutant.operator for one in found)
    rows = []
    for kind in kinds:
        own = [one for one in counted if one.mutant.operator == kind]
        gates = Counter(one.gate for one in own if not one.survived)
        rows.append(
            (kind, str(len(own)), str(sum(gates.values())), ", ".join(f"{g} {n}" for g, n in gates.most_common()))
        )
    parts.append(markdown(("kind of mistake", "made", "caught", "by"), rows))
    if survivors := [one for one in found if one.survived]:
        parts.append("Survivors:\n\n" + "\n".join(f"- {one.mutant.operator}: `{one.mutant}`" for one in survivors))
    if allowed:
        reasons = [(one.mutant.operator, f"`{one.mutant}`", one.allowed) for one in allowed]
        parts.append(markdown(("kind", "makes no difference", "because"), reasons))
    return "\n\n".join(parts)


def document(path: Path, lines: str) -> str:
    """The text of the document with another score."""
    return fill(path.read_text(encoding="utf-8"), {"score": lambda _: lines})
