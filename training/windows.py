"""Windows to train on, normalised as in a forecast: by the mean and the deviation of the part that is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kronos_service.forecaster.normalise import Scale

from . import synthetic

LENGTHS = (64, 128, 256, 512)
"""Lengths of windows, up to the longest that the model is asked for."""

_SHORTEST_HISTORY = 16
_MADE_AT_ONCE = 64
"""Series; made one by one they would cost as much as the training."""

_CLOSE = 3


@dataclass(frozen=True, eq=False)
class Windows:
    """Several windows of one length.

    Attributes:
        z: [B, T, 6] float32: normalised candles.
        stamps: [B, T, 5] int64: their calendar features.
        spread: [B, 1, 4] float32: deviations of the four prices, in deviations of the close.
        shift: [B, 1, 4] float32: means of the four prices less that of the close, in deviations of the close.
    """

    z: Tensor
    stamps: Tensor
    spread: Tensor
    shift: Tensor


def windows(random: np.random.Generator, candles: int) -> Iterator[Windows]:
    """Endless batches of about ``candles`` candles. No series is ever seen twice."""
    while True:
        length = int(random.choice(LENGTHS))
        rows = max(1, candles // length)
        made = synthetic.make(random, -(-_MADE_AT_ONCE // rows) * rows, length)
        for start in range(0, len(made.candles), rows):
            part = slice(start, start + rows)
            histories = random.integers(_SHORTEST_HISTORY, length, rows, endpoint=True)
            scales = [Scale.of(one[:known]) for one, known in zip(made.candles[part], histories, strict=True)]
            z = [scale.normalise(one) for scale, one in zip(scales, made.candles[part], strict=True)]
            spread = [scale.spread[:4] / scale.spread[_CLOSE] for scale in scales]
            shift = [(scale.mean[:4] - scale.mean[_CLOSE]) / scale.spread[_CLOSE] for scale in scales]
            yield Windows(
                torch.from_numpy(np.stack(z)),
                torch.from_numpy(made.stamps[part]),
                torch.from_numpy(np.stack(spread)).float().unsqueeze(1),
                torch.from_numpy(np.stack(shift)).float().unsqueeze(1),
            )
