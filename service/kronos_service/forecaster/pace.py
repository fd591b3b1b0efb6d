"""How much work a series is, and how long the model takes for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from .progress import State
from .series import Series

_MEMORY = 0.1
"""Weight of the newest measurement in a moving average."""

_STEP_ROWS = 4
"""A step costs about as much as this many rows, besides those it has: its weights are read once for all."""


@dataclass(frozen=True)
class Work:
    """What the model does for one series, or for several.

    Attributes:
        encoded: positions that the tokenizer encodes.
        read: positions that the model reads: the window, and all samples' windows whenever they slide.
        decoded: positions that the tokenizer decodes.
        drawn: rows of all steps.
        steps: steps, of the longest series.
    """

    encoded: int = 0
    read: int = 0
    decoded: int = 0
    drawn: int = 0
    steps: int = 0

    @classmethod
    def of(cls, series: Series, context: int, hop: int = 1) -> Self:
        """The work for ``series`` with a window of ``context`` candles."""
        length, horizon, rows = len(series.candles), series.horizon, series.sampling.samples
        window = min(length, context)
        slides = -(-max(0, window + horizon - 1 - context) // hop)
        history = min(length, max(context - horizon, 0))
        return cls(
            encoded=length,
            read=window + slides * rows * max(1, context - hop + 1),
            decoded=history + rows * horizon,
            drawn=rows * horizon,
            steps=horizon,
        )

    def __add__(self, other: Work) -> Work:
        """The work for series that are in the model together."""
        return Work(
            self.encoded + other.encoded,
            self.read + other.read,
            self.decoded + other.decoded,
            self.drawn + other.drawn,
            max(self.steps, other.steps),
        )

    @property
    def cost(self) -> int:
        """All of it in one number, about in positions."""
        return self.encoded + self.read + self.decoded + self.drawn + _STEP_ROWS * self.steps


class Pace:
    """Measured seconds per position and per row of a step. Not thread-safe."""

    def __init__(self) -> None:
        self._seconds: dict[State, float] = {}

    def took(self, state: State, size: int, seconds: float) -> None:
        """Note how long a call of the model took."""
        each = seconds / (size + _STEP_ROWS if state == "draw" else size)
        known = self._seconds.get(state, each)
        self._seconds[state] = known + _MEMORY * (each - known)

    def seconds(self, work: Work) -> float:
        """How long the model takes for ``work`` if it does nothing else; 0 for what it has never done."""
        known = self._seconds
        return (
            known.get("encode", 0.0) * work.encoded
            + known.get("prefill", 0.0) * work.read
            + known.get("detokenize", 0.0) * work.decoded
            + known.get("draw", 0.0) * (work.drawn + _STEP_ROWS * work.steps)
        )

    def relax(self) -> None:
        """Be a little more optimistic.

        Called when work is refused: work that is never tried is never measured, and a machine that was slow may be
        fast again.
        """
        self._seconds = {state: 0.95 * each for state, each in self._seconds.items()}
