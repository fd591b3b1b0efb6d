"""CPU time of a forecast beside the reference's, in one process, on one thread."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch
from model.kronos import auto_regressive_inference

from kronos_service.forecaster import Checkpoint, forecast
from kronos_service.forecaster.normalise import CLIP, Scale

from .cases import Case
from .checkpoints import CONTEXT, Reference

TARGETS: dict[Case, float | None] = {
    Case("mini", 100, 12): 3.5,
    Case("mini", 400, 24): 6,
    Case("mini", 400, 108): 13,
    Case("mini", 400, 120): 6.5,
    Case("mini", 100, 12, 5): 7,
    Case("mini", 400, 24, 5): None,
    Case("small", 100, 12): 3.7,
    Case("small", 400, 24): 10,
    Case("small", 400, 108): 14,
    Case("small", 400, 120): 8.5,
    Case("small", 400, 24, 5): None,
    Case("base", 100, 12): None,
    Case("base", 400, 24): None,
}
"""How many times the reference's speed each should have at least; the last window of 400/120 slides."""


_LONG_SECONDS = 12
"""Of the reference, after which no other round is begun."""

_SAME = 1e-3
"""Largest difference between equal candles, in deviations of the history."""


@dataclass(frozen=True)
class Ratio:
    """Medians over the rounds.

    Attributes:
        reference: CPU seconds of the reference.
        ours: CPU seconds of the forecaster.
        times: reference / ours, in the same round.
        same: whether both forecast the same candles in every round.
    """

    reference: float
    ours: float
    times: float
    same: bool


def measure(case: Case, reference: Reference, checkpoint: Checkpoint, rounds: int) -> Ratio:
    """Run both in turns, so that other load on the machine affects both alike; fewer rounds if they are long."""
    done: list[tuple[float, float, bool]] = []
    while len(done) < rounds and sum(seconds for seconds, _, _ in done) < _LONG_SECONDS:
        done.append(_round(case, reference, checkpoint, len(done)))
    theirs, ours, same = zip(*done, strict=True)
    times = statistics.median(one / other for one, other in zip(theirs, ours, strict=True))
    return Ratio(statistics.median(theirs), statistics.median(ours), times, all(same))


def _round(case: Case, reference: Reference, checkpoint: Checkpoint, seed: int) -> tuple[float, float, bool]:
    """CPU seconds of both, and whether they forecast the same."""
    series = case.series(seed)
    scale = Scale.of(series.candles)
    z = torch.from_numpy(scale.normalise(series.candles))
    torch.manual_seed(seed)
    started = time.process_time()
    theirs = auto_regressive_inference(
        reference.tokenizer,
        reference.model,
        z[None],
        torch.from_numpy(series.stamps)[None].float(),
        torch.from_numpy(series.horizon_stamps)[None].float(),
        max_context=CONTEXT,
        pred_len=case.horizon,
        clip=CLIP,
        top_p=series.sampling.top_p,
        sample_count=case.samples,
    )
    between = time.process_time()
    ours = forecast(checkpoint, series).mean
    ended = time.process_time()
    expected = theirs[0, -case.horizon :] * scale.spread + scale.mean
    same = bool((abs(ours - expected) < _SAME * scale.spread).all())
    return between - started, ended - between, same
