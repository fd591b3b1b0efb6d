"""One forecast from beginning to end: normalise, tokenize, decode step by step, detokenize."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import steps
from .checkpoint import Checkpoint
from .errors import InvalidOutput
from .normalise import Scale
from .sampling import draw
from .series import Forecast, Series, Stage
from .stop import StopToken

ObserveStage = Callable[[Stage, float], None]
"""Called with the name and the seconds of every stage, also if it was stopped or failed."""


def ignore_stage(stage: Stage, seconds: float) -> None:
    """Do nothing."""


def forecast(
    checkpoint: Checkpoint,
    series: Series,
    *,
    stop: StopToken | None = None,
    observe_stage: ObserveStage = ignore_stage,
) -> Forecast:
    """Continue ``series`` by its horizon.

    The samples are rows of one batch. Threads may share a checkpoint.

    Args:
        checkpoint: tokenizer and model.
        series: history, horizon and sampling.
        stop: checked before every stage and every step.
        observe_stage: called after every stage.

    Raises:
        ForecastInvalid: the candles are too large to be normalised.
        Stopped: ``stop`` was set.
        InvalidOutput: the model answered with numbers that are not finite.
    """
    stop = stop or StopToken()
    seconds: dict[Stage, float] = {}

    @contextmanager
    def stage(name: Stage) -> Iterator[None]:
        stop.check()
        started = perf_counter()
        try:
            yield
        finally:
            seconds[name] = perf_counter() - started
            observe_stage(name, seconds[name])

    with torch.inference_mode():
        with stage("tokenize"):
            scale = Scale.of(series.candles, checkpoint.precision)
            z = torch.from_numpy(scale.normalise(series.candles)).to(checkpoint.device)
            # All samples share one history, which is encoded once.
            history = [tokens.expand(series.sampling.samples, -1) for tokens in checkpoint.tokenizer.encode(z[None])]
        decoder = _Decoder(checkpoint, series, history)
        with stage("prefill"):
            decoder.step()
        with stage("decode"):
            while not decoder.done:
                stop.check()
                decoder.step()
        with stage("detokenize"):
            paths = scale.denormalise(_detokenize(checkpoint, history, decoder.sampled, series.horizon))
    if not np.isfinite(paths).all():
        raise InvalidOutput("the forecast holds numbers that are not finite; the model's weights may be damaged")
    return Forecast(paths, seconds)


class _Decoder:
    """Draws the horizon of one series, one candle per step."""

    def __init__(self, checkpoint: Checkpoint, series: Series, history: list[Tensor]) -> None:
        samples = series.sampling.samples
        self._series = series
        self._steps = steps.start(checkpoint.model, checkpoint.max_context)
        self._generator = series.sampling.generator(checkpoint.device)
        stamps = np.concatenate((series.stamps, series.horizon_stamps))
        self._stamps = torch.from_numpy(stamps).to(checkpoint.device).expand(samples, -1, -1)
        self._length = len(series.candles)
        self._next = (*history, self._stamps[:, : self._length])
        self.sampled: list[tuple[Tensor, Tensor]] = []
        """s1 and s2 [samples] of every candle drawn so far."""

    @property
    def done(self) -> bool:
        """Whether the whole horizon is drawn."""
        return len(self.sampled) == self._series.horizon

    def step(self) -> None:
        """Draw the next candle: s1 from the window, then s2 from the window and s1."""
        s1 = draw(self._steps.advance(*self._next), self._series.sampling, self._generator)
        s2 = draw(self._steps.s2_logits(s1), self._series.sampling, self._generator)
        position = self._length + len(self.sampled)
        self._next = (s1[:, None], s2[:, None], self._stamps[:, position : position + 1])
        self.sampled.append((s1, s2))


def _detokenize(
    checkpoint: Checkpoint, history: list[Tensor], sampled: list[tuple[Tensor, Tensor]], horizon: int
) -> NDArray[np.float32]:
    """Normalised candles [samples, H, 6] of the horizon.

    As in the reference, the newest ``max_context`` candles are decoded in one pass, and the horizon is the end of
    them. A longer horizon is decoded in one pass too, without history: unlike the model, the tokenizer has no
    maximum window.
    """
    keep = max(checkpoint.max_context, horizon)
    s1, s2 = (
        torch.cat((known, torch.stack(new, dim=1)), dim=1)[:, -keep:]
        for known, new in zip(history, zip(*sampled, strict=True), strict=True)
    )
    decoded: NDArray[np.float32] = checkpoint.tokenizer.decode(s1, s2)[:, -horizon:].cpu().numpy()
    return decoded
