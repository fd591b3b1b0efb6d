"""The entry point of the package: load a checkpoint, forecast, close."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .checkpoint import Checkpoint, load_checkpoint
from .decoding import forecast
from .errors import CheckpointInvalid, InvalidOutput, NotReady, classify
from .job import Job
from .normalise import Precision
from .observer import NullObserver, Observer
from .room import Limits
from .sampling import Sampling
from .series import Series, with_amount
from .stop import StopToken
from .worker import Worker


@dataclass(frozen=True)
class ModelInfo:
    """Describes the loaded :class:`Checkpoint`, whose attributes these are; the device is a string."""

    model_name: str
    tokenizer_name: str
    revision: str
    tokenizer_revision: str
    device: str
    dtype: str
    max_context: int
    max_context_from: str
    precision: str
    parameters: int


class Forecaster:
    """A checkpoint and the worker that runs it. Thread-safe; starts out not ready."""

    def __init__(self, limits: Limits, *, threads: int, observer: Observer | None = None) -> None:
        """Load nothing yet.

        Args:
            limits: how much the worker takes on.
            threads: PyTorch's threads for one operation, in the whole process.
            observer: told what the worker does.
        """
        if threads < 1:
            raise ValueError(f"threads must be 1 or more, got {threads}")
        self._limits = limits
        self._threads = threads
        self._observer = observer or NullObserver()
        self._loading = threading.Lock()
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._info: ModelInfo | None = None
        self._stop = StopToken()

    @property
    def ready(self) -> bool:
        """Whether series are accepted: a checkpoint is loaded and warmed up, and ``close`` was not called."""
        return self._worker is not None

    @property
    def info(self) -> ModelInfo | None:
        """The loaded model; None while not ready."""
        return self._info

    @property
    def capacity(self) -> int:
        """Maximum number of series that wait."""
        return self._limits.waiting

    @property
    def depth(self) -> int:
        """Series waiting."""
        worker = self._worker
        return 0 if worker is None else worker.depth

    @property
    def failures(self) -> int:
        """Series that failed one after another, through no fault of theirs, since the last that succeeded."""
        worker = self._worker
        return 0 if worker is None else worker.failures

    @property
    def call_seconds(self) -> float:
        """How long the model has been in its running call; 0 while it is idle."""
        worker = self._worker
        return 0.0 if worker is None else worker.call_seconds

    @property
    def running(self) -> int:
        """Series in the model."""
        worker = self._worker
        return 0 if worker is None else worker.running

    @property
    def positions(self) -> int:
        """Positions reserved in the caches of the series in the model."""
        worker = self._worker
        return 0 if worker is None else worker.positions

    @property
    def position_limit(self) -> int:
        """Positions for which there is memory; 0 while not ready."""
        worker = self._worker
        return 0 if worker is None else worker.position_limit

    def load(
        self,
        model: str,
        tokenizer: str,
        *,
        model_revision: str | None = None,
        tokenizer_revision: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        max_context: int | None = None,
        precision: Precision = "float64",
    ) -> None:
        """Load a checkpoint, warm it up with a forecast, and become ready. May be retried after a failure.

        For the arguments see :func:`load_checkpoint`.

        Raises:
            CheckpointNotFound, CheckpointInvalid, DeviceUnavailable: see :func:`load_checkpoint`;
                CheckpointInvalid also if the forecast is not finite.
            OutOfMemory, InferenceError: the forecast, or moving the weights to the device, failed.
            Stopped: ``close`` was called, before or meanwhile.
            RuntimeError: a checkpoint is loaded already.
        """
        with self._loading:
            self._stop.check()
            if self.ready:
                raise RuntimeError(f"{self._info} is loaded already; make another Forecaster for another checkpoint")
            torch.set_num_threads(self._threads)
            try:
                checkpoint = load_checkpoint(
                    model,
                    tokenizer,
                    model_revision=model_revision,
                    tokenizer_revision=tokenizer_revision,
                    device=device,
                    dtype=dtype,
                    max_context=max_context,
                    precision=precision,
                )
                _warm_up(checkpoint, self._stop)
            except InvalidOutput as error:
                raise CheckpointInvalid(
                    f"the warm-up forecast of {model} with {tokenizer} failed: {error}"
                ) from error
            except Exception as error:
                named = classify(error)
                if named is error:
                    raise
                raise named from error
            with self._lock:
                self._stop.check()
                self._info = _describe(checkpoint)
                self._worker = Worker(checkpoint, self._limits, self._observer)

    def submit(self, series: Sequence[Series], caller: str = "") -> Job:
        """Admit all of ``series`` as one job, or none. Does not wait.

        ``caller`` is any name. All callers get an equal share of the model, however much they ask for.

        Raises:
            NotReady: nothing is loaded, or the forecaster is closed.
            TooMuchWork: the model could not do it in time, even if it did nothing else.
            QueueFull: there is no room for all of them.
            ForecastInvalid: ``series`` is empty.
        """
        return self._ready_worker().submit(series, caller)

    def check_room(self, asked: int, caller: str = "") -> None:
        """Raise the NotReady or QueueFull that ``submit`` would raise now for ``asked`` series of ``caller``."""
        self._ready_worker().check_room(asked, caller)

    def probe(self) -> Job:
        """Submit the series of the warm-up, to see whether the model works; raises as ``submit`` does."""
        return self.submit([_warm_up_series()])

    def close(self, cause: str) -> None:
        """Stop a load in progress and all jobs for ``cause``, and accept no more. Waits for the running step.

        Does not wait for a load, which stops once its files are read.
        """
        with self._lock:
            self._stop.stop(cause)
            worker, self._worker, self._info = self._worker, None, None
        if worker is not None:
            worker.close(cause)

    def _ready_worker(self) -> Worker:
        worker = self._worker
        if worker is None:
            raise NotReady(
                f"the forecaster is closed: {self._stop.cause}"
                if self._stop.cause
                else "no model is loaded yet; try again later"
            )
        return worker


def _describe(checkpoint: Checkpoint) -> ModelInfo:
    return ModelInfo(
        model_name=checkpoint.model_name,
        tokenizer_name=checkpoint.tokenizer_name,
        revision=checkpoint.revision,
        tokenizer_revision=checkpoint.tokenizer_revision,
        device=str(checkpoint.device),
        dtype=str(checkpoint.dtype).removeprefix("torch."),
        max_context=checkpoint.max_context,
        max_context_from=checkpoint.max_context_from,
        precision=checkpoint.precision,
        parameters=checkpoint.parameters,
    )


def _warm_up(checkpoint: Checkpoint, stop: StopToken) -> None:
    """Forecast made-up candles: proves that the weights work, and pays the cost of the first call."""
    forecast(checkpoint, _warm_up_series(), stop=stop)


def _warm_up_series() -> Series:
    length = 32
    wave = 100 + np.sin(np.arange(length, dtype=np.float64))
    candles = with_amount(np.column_stack((wave, wave + 1, wave - 1, wave)), np.full(length, 1000.0))
    midnight = np.array([[0, 0, 0, 1, 1]], dtype=np.int64)
    return Series(candles, midnight.repeat(length, axis=0), midnight.repeat(2, axis=0), Sampling(seed=0))
