"""What fits into the model at once."""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass

from .checkpoint import Checkpoint
from .series import Series, cached_positions

RESERVED_SHARE = 8
"""One in this many places, of the queue and of the model, is reserved for callers who have nothing there."""


@dataclass(frozen=True)
class Limits:
    """How much a worker takes on.

    Attributes:
        waiting: maximum number of series that wait.
        rows: sample paths in the model at once. A series with more is run alone.
        cache_bytes: memory for keys and values. A series that needs more is run alone.
        seconds: a job that the model can't do in this time, as it was measured, is refused.
        hop: see :class:`.progress.Progress`.
    """

    waiting: int = 1024
    rows: int = 32
    cache_bytes: int = 2**30
    seconds: float = float("inf")
    hop: int = 1


class Room:
    """Rows and cached positions of the model, of which a part is in use. Not thread-safe."""

    def __init__(self, checkpoint: Checkpoint, limits: Limits) -> None:
        self._max_context = checkpoint.max_context
        self._max_rows = limits.rows
        self.position_limit = limits.cache_bytes // checkpoint.position_bytes
        self.positions = 0
        self._rows = 0
        self._callers: Counter[str] = Counter()

    @property
    def callers(self) -> Container[str]:
        """Those with a series in the model."""
        return self._callers

    def fits(self, series: Series, reserved: int = 0) -> bool:
        """Whether ``series`` may enter and leave ``reserved`` rows free. Anything may enter an empty model."""
        rows = self._rows + series.sampling.samples + reserved
        positions = self.positions + self._positions_of(series)
        return not self._callers or (rows <= self._max_rows and positions <= self.position_limit)

    def leaves_reserve(self, caller: str, series: Series) -> bool:
        """Whether ``series`` may enter as far as the rows go that are reserved for callers with nothing there."""
        return caller not in self._callers or self.fits(series, self._max_rows // RESERVED_SHARE)

    def enter(self, caller: str, series: Series) -> None:
        """Count a series as being in the model."""
        self._callers[caller] += 1
        self._rows += series.sampling.samples
        self.positions += self._positions_of(series)

    def leave(self, caller: str, series: Series) -> None:
        """Count it no longer."""
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]
        self._rows -= series.sampling.samples
        self.positions -= self._positions_of(series)

    def _positions_of(self, series: Series) -> int:
        return series.sampling.samples * cached_positions(series, self._max_context)
