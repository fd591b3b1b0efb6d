"""How fast one core of this machine multiplies and reads, and so how fast a forecast could be at best."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from .cases import Case
from .checkpoints import CONTEXT, SIZES

_MIB, _GIB = 2**20, 2**30
_SIDE = 1024
_TOKENIZER = {"d_model": 256, "n_layers": 3, "ff_dim": 512}
"""One half of the tokenizer: three blocks encode, three decode."""

_VOCABULARY = 1024
_SECONDS = 1.0
"""Of measuring each floor."""


@dataclass(frozen=True)
class Floors:
    """What one core does.

    Attributes:
        gflops: 10^9 float32 operations per second in a product of two square matrices.
        gibs: GiB per second in a product of matrix and vector, by the size of the matrix in MiB.
    """

    gflops: float
    gibs: dict[int, float]

    def seconds(self, case: Case) -> float:
        """Least CPU time of a case: every operation at full speed, every weight read once per step at full speed.

        Embeddings, norms, sampling and candles cost nothing here.
        """
        size = SIZES[case.size]
        width, layers = size["d_model"], size["n_layers"]
        window, end = min(case.history, CONTEXT), case.history + case.horizon
        slid = min(case.horizon - 1, max(0, end - 1 - CONTEXT))
        steps = case.horizon - 1 - slid
        operations = _operations(_TOKENIZER, window) + _operations(size, window)
        operations += case.samples * (_operations(_TOKENIZER, min(end, CONTEXT)) + slid * _operations(size, CONTEXT))
        # The blocks, the attention of s2 (its keys, values and output) and both heads.
        weights = _weights(size) + 3 * width**2 + 2 * _VOCABULARY * width
        cached = 2 * case.samples * width * (layers + 1) * (window + steps / 2)
        computing = 2 * case.samples * weights / self.gflops / 1e9
        step = max(self._reading(weights), computing) + self._reading(cached)
        return operations / self.gflops / 1e9 + steps * step

    def _reading(self, numbers: float) -> float:
        """Seconds to read float32 numbers, at the speed of the measured size that is nearest."""
        size = 4 * numbers
        nearest = min(self.gibs, key=lambda mib: abs(mib * _MIB - size))
        return size / _GIB / self.gibs[nearest]


def measure() -> Floors:
    """Take the best of a second each, on one thread."""
    a, b = torch.rand(2, _SIDE, _SIDE)
    gflops = 2 * _SIDE**3 / _best(partial(torch.mm, a, b)) / 1e9
    gibs = {}
    for mib in (14, 94, 400):
        weights = torch.rand(mib * _MIB // 4 // _SIDE, _SIDE)
        vector = torch.rand(_SIDE)
        gibs[mib] = mib / 1024 / _best(partial(torch.mv, weights, vector))
    return Floors(gflops, gibs)


def _best(work: Callable[[], object]) -> float:
    best, end = float("inf"), time.process_time() + _SECONDS
    while time.process_time() < end:
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def _weights(size: dict[str, int]) -> int:
    """Of all blocks."""
    width = size["d_model"]
    return size["n_layers"] * (4 * width**2 + 3 * width * size["ff_dim"])


def _operations(size: dict[str, int], length: int) -> float:
    """Of one pass over ``length`` positions; of attention only the half that causality leaves."""
    return 2 * length * _weights(size) + 2 * size["n_layers"] * length**2 * size["d_model"]
