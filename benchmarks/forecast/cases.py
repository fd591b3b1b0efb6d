"""What is forecast in the measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kronos_service.forecaster import Sampling, Series
from training import synthetic


@dataclass(frozen=True)
class Case:
    """One forecast.

    Attributes:
        size: of the model.
        history: candles that are known.
        horizon: candles to forecast.
        samples: paths.
    """

    size: str
    history: int
    horizon: int
    samples: int = 1

    def __str__(self) -> str:
        paths = f", {self.samples} samples" if self.samples > 1 else ""
        return f"{self.size} {self.history}/{self.horizon}{paths}"

    def series(self, seed: int = 0) -> Series:
        """Made-up candles for it."""
        made = synthetic.make(np.random.default_rng(seed), 1, self.history + self.horizon)
        candles, stamps = made.candles[0], made.stamps[0]
        sampling = Sampling(samples=self.samples, seed=seed)
        return Series(candles[: self.history], stamps[: self.history], stamps[self.history :], sampling)

    def body(self, seed: int = 0) -> dict[str, Any]:
        """The same as a request to the service."""
        made = synthetic.make(np.random.default_rng(seed), 1, self.history)
        fields = ("open", "high", "low", "close", "volume", "amount")
        return {
            "candles": [dict(zip(fields, row, strict=True)) for row in made.candles[0].tolist()],
            "timestamps": [f"{hour}:00:00" for hour in made.hours[0]],
            "horizon": self.horizon,
            "overrides": {"sample_count": self.samples, "seed": seed},
        }
