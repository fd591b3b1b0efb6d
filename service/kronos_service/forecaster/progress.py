"""One series on its way through the model, as a state machine that is told what was computed for it.

::

    encode --> prefill --> draw --> (replay) --> detokenize --> end
                  ^          |
                  +----------+  whenever the window slides

All states but ``draw`` are passes over a number of positions, which may be made in chunks.
"""

from __future__ import annotations

from time import perf_counter
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .cache import Cache
from .checkpoint import Checkpoint
from .errors import ForecasterError, InvalidOutput
from .normalise import Scale
from .sampling import noise
from .series import Forecast, Series, Stage, StageTime, cached_positions
from .stop import StopToken

State = Literal["encode", "prefill", "draw", "replay", "detokenize"]
"""Candles to tokens; the model reads the window; candles are drawn; the tokenizer reads the history; tokens to
candles."""


class Progress:
    """The state of one series: its tokens, its cache and what is to be done next. Not thread-safe.

    Attributes:
        state: what is to be done next; of no meaning once there is an ``outcome``.
        outcome: the forecast or the error it ended with; None before.
        cache: keys and values of the pass or the decode in progress.
        left: positions of each row still to be passed; 0 while candles are drawn.
        due: when its pass is due, by the scheduler's clock; None until the scheduler has set it.
        read: [samples, D]: what the model says of the newest candle, while candles are drawn.
        unread: whether the newest candle has yet to be read by the model.
        drawn: candles drawn so far.
        stages: its time in each stage that it has left.
        calls: calls of the model in the present stage.
        first_candle: when the first candle was drawn, by ``perf_counter``.
    """

    def __init__(self, checkpoint: Checkpoint, series: Series, stop: StopToken | None = None, hop: int = 1) -> None:
        """Begin with the history of ``series``.

        Args:
            checkpoint: what to forecast with.
            series: history, horizon and sampling.
            stop: asks for the end of the work.
            hop: candles that leave the window at once when it slides. 1 is the reference's way.

        Raises:
            ForecastInvalid: the candles are too large to be normalised.
        """
        self.series, self.stop = series, stop or StopToken()
        self.outcome: Forecast | ForecasterError | None = None
        self.due: int | None = None
        self.read: Tensor
        self.unread = False
        self.drawn = 0
        self.first_candle: float | None = None
        self.stages: dict[Stage, StageTime] = {}
        self.calls = 0
        self._stage: Stage = "tokenize"
        self._since = perf_counter()
        self._checkpoint, self._hop = checkpoint, hop
        self._length = len(series.candles)
        self._scale = Scale.of(series.candles, checkpoint.precision)
        self._z = torch.from_numpy(self._scale.normalise(series.candles)).to(checkpoint.device, checkpoint.dtype)
        self._generator = series.sampling.generator()
        self._noise: tuple[Tensor, Tensor] | None = None
        stamps = torch.from_numpy(np.concatenate((series.stamps, series.horizon_stamps)))
        offsets = torch.tensor(checkpoint.model.offsets)
        self._ids = torch.empty((series.sampling.samples, len(stamps), len(offsets)), dtype=torch.int64)
        self._ids[:, :, 2:] = stamps + offsets[2:]
        self._ids = self._ids.to(checkpoint.device)
        """[samples, T + H, 7]: rows of the table for each candle; s1 and s2 are filled in as they are known."""
        self._first = 0
        """The first candle of the pass or the window."""
        self._paths: list[Tensor] = []
        self.state: State
        self.cache: Cache
        self.left: int
        self._begin("encode", checkpoint.tokenizer_cache(self._length), 0, self._length)

    @property
    def rows(self) -> int:
        """Sample paths."""
        return self.series.sampling.samples

    @property
    def drawing(self) -> bool:
        """Whether the next step draws a candle of it."""
        return self.outcome is None and self.state == "draw"

    def inputs(self, count: int) -> Tensor:
        """What the next ``count`` positions read, packed: candles [N, 6], or rows of a table [N, 7] or [N, 2]."""
        start = self._first + self.cache.length
        if self.state == "encode":
            return self._z[start : start + count]
        ids = self._ids[: self.cache.rows, start : start + count].flatten(0, 1)
        return ids if self.state in {"prefill", "draw"} else ids[:, :2]

    def passed(self, count: int, outputs: Tensor) -> None:
        """Take the outputs [N, ...] of the next ``count`` positions, which the cache counts already."""
        start = self._first + self.cache.length - count
        self.left -= count
        if self.state == "encode":
            self._ids[:, start : start + count, :2] = outputs
        elif self.state == "detokenize":
            self._paths.append(outputs.view(self.rows, count, -1))
        if self.left:
            return
        match self.state:
            case "encode":
                self._read_history()
            case "prefill":
                self.read = outputs.view(self.cache.rows, count, -1)[:, -1].expand(self.rows, -1)
                self.cache = self.cache.repeated(self.rows)
                self.state, self.unread = "draw", False
            case "replay":
                self.state, self.left = "detokenize", self.series.horizon
                self.cache = self.cache.repeated(self.rows)
            case _:
                self._finish()

    def noise(self) -> tuple[Tensor, Tensor]:
        """The noise of the next candle's tokens: the same until ``accept``, so that a failed step may be repeated."""
        if self._noise is None:
            s1, s2 = 2**self._checkpoint.s1_bits, 2**self._checkpoint.s2_bits
            self._noise = noise(self.rows, s1, self._generator), noise(self.rows, s2, self._generator)
        return self._noise

    def accept(self, s1: Tensor, s2: Tensor, *, finite: bool) -> None:
        """Take the tokens [samples] drawn for the next candle."""
        if not finite:
            self.end(InvalidOutput("the model's logits are not finite; its weights may be damaged"))
            return
        newest = self._length + self.drawn
        offset = self._checkpoint.model.offsets[1]
        self._ids[:, newest, 0], self._ids[:, newest, 1] = s1, s2 + offset
        self._noise = None
        self.drawn += 1
        if self.drawn == 1:
            self.first_candle = perf_counter()
            self._enter("decode")
        if self.drawn == self.series.horizon:
            self._detokenize()
        elif self.cache.length < self._checkpoint.max_context:
            self.unread = True
        else:
            first = min(newest, newest - self._checkpoint.max_context + self._hop)
            self.cache.clear()
            self._begin("prefill", self.cache, first, newest + 1 - first)

    def end(self, outcome: Forecast | ForecasterError) -> None:
        """End with this outcome, and free what was computed."""
        if not isinstance(outcome, Forecast):
            self._enter(self._stage)
        self.outcome, self.left = outcome, 0
        for held in ("cache", "read", "_ids", "_z", "_paths"):
            self.__dict__.pop(held, None)

    def _begin(self, state: State, cache: Cache, first: int, count: int) -> None:
        self.state, self.cache, self._first, self.left, self.due = state, cache, first, count, None

    def _enter(self, stage: Stage) -> None:
        now = perf_counter()
        self.stages[self._stage] = StageTime(self._since, now, now - self._since, self.calls)
        self._stage, self._since, self.calls = stage, now, 0

    def _read_history(self) -> None:
        self._enter("prefill")
        context = self._checkpoint.max_context
        window = min(self._length, context)
        cache = self._checkpoint.model_cache(cached_positions(self.series, context))
        self._begin("prefill", cache, self._length - window, window)

    def _detokenize(self) -> None:
        """As in the reference, the newest ``max_context`` candles are decoded, and the horizon is the end of them.

        A longer horizon is decoded whole, without history: unlike the model, the tokenizer has no maximum window.
        """
        self._enter("detokenize")
        del self.read
        horizon = self.series.horizon
        history = min(self._length, max(self._checkpoint.max_context - horizon, 0))
        first = self._length - history
        if history:
            self._begin("replay", self._checkpoint.tokenizer_cache(history + horizon), first, history)
        else:
            self._begin("detokenize", self._checkpoint.tokenizer_cache(horizon, self.rows), first, horizon)

    def _finish(self) -> None:
        z = torch.cat(self._paths, dim=1).float().cpu().numpy()
        paths = self._scale.denormalise(z)
        if not np.isfinite(paths).all():
            self.end(InvalidOutput("the forecast is not finite; the model's weights may be damaged"))
            return
        self._enter(self._stage)
        self.end(Forecast(paths, {stage: time.seconds for stage, time in self.stages.items()}))
