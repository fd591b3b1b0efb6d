"""The keys and values of one series. Dropping the cache frees them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Cache:
    """Keys and values of every layer for the positions of a window, one row per sample path.

    A key depends on its own and earlier positions only, and positions count from 0 whatever follows, so what is
    written stays true until the window slides.
    """

    def __init__(
        self,
        heads: Sequence[int],
        width: int,
        capacity: int,
        *,
        rows: int = 1,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """Reserve memory.

        Args:
            heads: attention heads of each layer.
            width: elements of a key of all heads.
            capacity: maximum number of positions.
            rows: sample paths.
            dtype: of keys and values.
            device: where they are.
        """
        self._heads, self._width = tuple(heads), width
        self.capacity, self.rows, self.length = capacity, rows, 0
        store = torch.empty((len(heads), 2, rows, width * capacity), dtype=dtype, device=device)
        self._layers = [
            tuple(side.view(rows, count, capacity, width // count) for side in layer)
            for count, layer in zip(heads, store, strict=True)
        ]

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put keys and values [rows, h, T, d] behind the positions known, and return all [rows, h, length + T, d].

        ``length`` counts the new positions only after ``extend``, so a pass that failed may be repeated.
        """
        end = self.length + keys.shape[2]
        cached_keys, cached_values = self._layers[layer]
        cached_keys[:, :, self.length : end] = keys
        cached_values[:, :, self.length : end] = values
        return cached_keys[:, :, :end], cached_values[:, :, :end]

    def read(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values [rows, h, length, d]."""
        keys, values = self._layers[layer]
        return keys[:, :, : self.length], values[:, :, : self.length]

    def extend(self, count: int) -> None:
        """Count positions that every layer has written."""
        self.length += count

    def clear(self) -> None:
        """Forget all positions, and keep the memory."""
        self.length = 0

    def repeated(self, rows: int) -> Cache:
        """The same window for several sample paths, from a cache of one row."""
        if rows == self.rows:
            return self
        keys, _ = self._layers[0]
        copy = Cache(self._heads, self._width, self.capacity, rows=rows, dtype=keys.dtype, device=keys.device)
        copy.extend(self.length)
        for layer in range(len(self._heads)):
            for target, source in zip(copy.read(layer), self.read(layer), strict=True):
                target.copy_(source)
        return copy
