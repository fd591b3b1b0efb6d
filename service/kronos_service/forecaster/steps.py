"""The interface between the decoding loop and the model: the logits of the next candle.

The loop passes each candle once. Whether the whole window is recomputed or keys and values are cached is up to the
implementation of :class:`Steps` that :func:`start` returns; today it is recomputed.
"""

from typing import Protocol

import torch
from torch import Tensor

from .model import Kronos


class Steps(Protocol):
    """The state of decoding one batch of B rows. Not thread-safe."""

    def advance(self, s1: Tensor, s2: Tensor, stamps: Tensor) -> Tensor:
        """Append candles to the window, which keeps the newest ``max_context``.

        Position 0 is the oldest candle kept, so positions shift with every candle once the window is full.

        Args:
            s1: [B, N] int64: the whole history in the first call, one candle in each later call.
            s2: [B, N] int64.
            stamps: [B, N, 5] int64.

        Returns:
            Logits [B, 2^s1_bits] of the s1 that follows.
        """
        ...

    def s2_logits(self, s1: Tensor) -> Tensor:
        """Logits [B, 2^s2_bits] of the s2 that goes with the sampled ``s1`` [B]; after ``advance`` only."""
        ...


class FullWindow:
    """Runs the model over the whole window at every step."""

    def __init__(self, model: Kronos, max_context: int) -> None:
        self._model = model
        self._max_context = max_context
        self._window: list[Tensor] | None = None
        self._hidden: Tensor | None = None

    def advance(self, s1: Tensor, s2: Tensor, stamps: Tensor) -> Tensor:
        """See :meth:`Steps.advance`."""
        newest = [s1, s2, stamps]
        if self._window is not None:
            newest = [torch.cat(parts, dim=1) for parts in zip(self._window, newest, strict=True)]
        self._window = [part[:, -self._max_context :] for part in newest]
        self._hidden = self._model.hidden(*self._window)
        return self._model.s1_logits(self._hidden[:, -1])

    def s2_logits(self, s1: Tensor) -> Tensor:
        """See :meth:`Steps.s2_logits`."""
        if self._hidden is None:
            raise RuntimeError("s2_logits was called before advance: there is no window yet")
        return self._model.s2_logits(self._hidden, s1)


def start(model: Kronos, max_context: int) -> Steps:
    """Begin the decode of one batch with a window of at most ``max_context`` candles."""
    return FullWindow(model, max_context)
