"""Who is told what the worker does."""

from typing import Protocol

from .series import Stage


class Observer(Protocol):
    """Told what the worker does, on any thread. What a method raises is logged."""

    def queue_wait(self, seconds: float) -> None:
        """A series entered the model, or was stopped before that, ``seconds`` after its admission."""

    def stage(self, name: Stage, seconds: float) -> None:
        """A series left the model, perhaps stopped or failed, and had spent ``seconds`` in a stage."""

    def step(self, rows: int) -> None:
        """The model drew a candle for ``rows`` sample paths at once."""

    def first_candle(self, seconds: float) -> None:
        """A series left the model whose first candle was drawn ``seconds`` after its admission."""

    def candle(self, seconds: float) -> None:
        """A series left the model whose further candles took ``seconds`` each."""


class NullObserver:
    """An :class:`Observer` that does nothing."""

    def queue_wait(self, seconds: float) -> None:
        """See :meth:`Observer.queue_wait`."""

    def stage(self, name: Stage, seconds: float) -> None:
        """See :meth:`Observer.stage`."""

    def step(self, rows: int) -> None:
        """See :meth:`Observer.step`."""

    def first_candle(self, seconds: float) -> None:
        """See :meth:`Observer.first_candle`."""

    def candle(self, seconds: float) -> None:
        """See :meth:`Observer.candle`."""
