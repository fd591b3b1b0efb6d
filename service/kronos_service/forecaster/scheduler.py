"""Continuous batching: series join and leave the batch between two steps of the model.

A turn is one chunk of a pass, so that a long history does not hold up the candles of others, and one step, which
draws a candle of every series whose history is read. Knows no threads: :mod:`.worker` has the only one.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from .checkpoint import Checkpoint
from .errors import Stopped, classify
from .passes import Part, detokenize, encode, read, replay
from .progress import Progress, State
from .sampling import Choice
from .step import draw_candle

CHUNK = 128
"""Positions of a chunk on a CPU: enough to keep it busy, and few enough for nobody to notice the wait."""

DEVICE_CHUNK = 2048
"""The same for any other device."""

_PATIENCE = 8
"""A pass goes before a longer one, unless that has waited for this many times the positions it is longer."""


class Call(NamedTuple):
    """A call of the model: what it did, its size (positions, or rows of a step) and how long it took."""

    state: State
    size: int
    seconds: float


class Turn(NamedTuple):
    """What a turn did: the series that ended, with their outcomes, and the calls that succeeded."""

    ended: list[Progress]
    calls: list[Call]


_Shares = Sequence[tuple[Progress, int]]
"""Series, each with the number of positions that each of its rows gains in a call of the model."""


class Scheduler:
    """The series in the model. Not thread-safe."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._chunk = CHUNK if checkpoint.device.type == "cpu" else DEVICE_CHUNK
        self._running: list[Progress] = []
        self._clock = 0
        """Positions of all passes so far."""
        self._calls: list[Call] = []

    @property
    def running(self) -> tuple[Progress, ...]:
        """The series in the model, the oldest first."""
        return tuple(self._running)

    def add(self, progress: Progress) -> None:
        """Let a series join."""
        self._running.append(progress)

    def turn(self) -> Turn:
        """Make one chunk and one step."""
        self._calls = []
        with torch.inference_mode():
            self._end_stopped()
            self._attempt(self._pass, self._next_chunk())
            self._end_stopped()
            self._attempt(self._step, [(one, 1) for one in self._running if one.drawing])
        ended = [one for one in self._running if one.outcome is not None]
        self._running = [one for one in self._running if one.outcome is None]
        return Turn(ended, self._calls)

    def _end_stopped(self) -> None:
        for one in self._running:
            if one.outcome is None and one.stop.cause is not None:
                one.end(Stopped(one.stop.cause))

    def _next_chunk(self) -> _Shares:
        """The positions that come next: all in one state, of as many series as fit."""
        waiting = [one for one in self._running if one.left]
        for one in waiting:
            if one.due is None:
                one.due = self._clock + _PATIENCE * one.left * one.cache.rows
        waiting.sort(key=lambda one: one.due or 0)
        chunk: list[tuple[Progress, int]] = []
        room = self._chunk
        for one in waiting:
            if not chunk or (one.state == waiting[0].state and one.cache.rows <= room):
                count = min(one.left, max(1, room // one.cache.rows))
                chunk.append((one, count))
                room -= count * one.cache.rows
        return chunk

    def _attempt(self, call: Callable[[_Shares], None], shares: _Shares) -> None:
        """Call the model for several series; if that fails, for each of them alone, so a failure is its own."""
        if not shares:
            return
        try:
            call(shares)
        # No error may end the thread.
        except Exception as error:
            if len(shares) == 1:
                shares[0][0].end(classify(error))
                return
            for share in shares:
                self._attempt(call, [share])

    def _pass(self, shares: _Shares) -> None:
        started = perf_counter()
        _count(shares)
        state = shares[0][0].state
        parts = [Part(one.cache, count) for one, count in shares]
        inputs = torch.cat([one.inputs(count) for one, count in shares])
        outputs = self._run(state, inputs, parts)
        sizes = [part.size for part in parts]
        for (one, count), own in zip(shares, outputs.split_with_sizes(sizes), strict=True):
            _settle(one, partial(one.passed, count, own))
        self._clock += len(inputs)
        self._note(state, len(inputs), started)

    def _run(self, state: State, inputs: Tensor, parts: Sequence[Part]) -> Tensor:
        tokenizer, model = self._checkpoint.tokenizer, self._checkpoint.model
        match state:
            case "encode":
                return encode(tokenizer, inputs, parts)
            case "replay":
                return replay(tokenizer, inputs, parts)
            case "detokenize":
                return detokenize(tokenizer, inputs, parts)
            case _:
                return read(model, inputs, parts)

    def _step(self, shares: _Shares) -> None:
        started = perf_counter()
        _count(shares)
        drawing = [one for one, _ in shares]
        if unread := [one for one in drawing if one.unread]:
            parts = [Part(one.cache, 1) for one in unread]
            newest = read(self._checkpoint.model, torch.cat([one.inputs(1) for one in unread]), parts)
            for one, own in zip(unread, newest.split_with_sizes([one.rows for one in unread]), strict=True):
                one.read, one.unread = own, False
        s1_noise, s2_noise = zip(*(one.noise() for one in drawing), strict=True)
        s1, s2, finite = draw_candle(
            self._checkpoint.model,
            torch.cat([one.read for one in drawing]),
            [one.cache for one in drawing],
            (torch.cat(s1_noise), torch.cat(s2_noise)),
            Choice.of([one.series.sampling for one in drawing for _ in range(one.rows)], self._checkpoint.device),
        )
        rows = [one.rows for one in drawing]
        # The only value of a step that is waited for.
        flags = iter(finite.tolist())
        for one, own_s1, own_s2 in zip(drawing, s1.split_with_sizes(rows), s2.split_with_sizes(rows), strict=True):
            fine = all(list(islice(flags, one.rows)))
            _settle(one, partial(one.accept, own_s1, own_s2, finite=fine))
        self._note("draw", len(s1), started)

    def _note(self, state: State, size: int, started: float) -> None:
        self._checkpoint.synchronize()
        self._calls.append(Call(state, size, perf_counter() - started))


def _count(shares: _Shares) -> None:
    for one, _ in shares:
        one.calls += 1


def _settle(one: Progress, take: Callable[[], None]) -> None:
    """Let a series take its outputs. It may need memory for what comes next."""
    try:
        take()
    except Exception as error:
        one.end(classify(error))
