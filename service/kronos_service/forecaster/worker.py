"""The scheduler: one thread that forecasts one series at a time, round robin over the callers.

Callers only use the public parts of :class:`Worker` and :class:`Job`, so another scheduler, such as one that
batches, can replace this one.
"""

import contextvars
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from time import perf_counter
from typing import Literal, Protocol

from .checkpoint import Checkpoint
from .decoding import forecast
from .errors import ForecasterError, ForecastInvalid, NotReady, QueueFull, Stopped, classify
from .fair_queue import FairQueue
from .series import Forecast, Series, Stage
from .stop import StopToken

RESERVED_SHARE = 8
"""One in this many places of the queue is reserved for callers with nothing waiting."""

_RATE_MEMORY = 0.2
"""Weight of the newest series in the moving average of seconds per series."""

_Place = Literal["queue", "model", "ended"]
"""Where a job is: waiting in the queue, with a series in the model, or ended."""

_log = logging.getLogger("kronos.forecaster")


class Observer(Protocol):
    """Called on the scheduler's thread. If a method raises, the current job fails."""

    def queue_wait(self, seconds: float) -> None:
        """A series reached the model, ``seconds`` after its admission."""

    def stage(self, name: Stage, seconds: float) -> None:
        """A stage of a model call ended, perhaps because it was stopped or failed."""

    def batch(self, series_count: int) -> None:
        """A model call began, with ``series_count`` series decoded together."""


class NullObserver:
    """An :class:`Observer` that does nothing."""

    def queue_wait(self, seconds: float) -> None:
        """See :meth:`Observer.queue_wait`."""

    def stage(self, name: Stage, seconds: float) -> None:
        """See :meth:`Observer.stage`."""

    def batch(self, series_count: int) -> None:
        """See :meth:`Observer.batch`."""


class Job:
    """Series admitted together. Made by :meth:`Worker.submit`.

    The model runs in a copy of the submitter's context variables, so its log lines carry the request id.

    Attributes:
        future: the forecasts in the order of the series, or a ForecasterError: :class:`Stopped` after
            ``cancel``, else the error of the first series that failed. Its own ``cancel`` has no effect.
    """

    def __init__(self, worker: "Worker", series: Sequence[Series]) -> None:
        self.future: Future[list[Forecast]] = Future()
        # Otherwise Future.cancel, which asyncio calls on its own, would race with the worker's result.
        self.future.set_running_or_notify_cancel()
        self._worker = worker
        self._series = tuple(series)
        self._forecasts: list[Forecast] = []
        self._stop = StopToken()
        self._context = contextvars.copy_context()
        self._admitted = self._since = perf_counter()
        self._place: _Place = "queue"
        self._spent: dict[_Place, float] = {"queue": 0.0, "model": 0.0, "ended": 0.0}
        """Seconds in each place, up to the last move."""
        self._reached = False
        self._stage_seconds: dict[Stage, float] = {}

    def cancel(self, cause: str) -> None:
        """Stop all work on this job; no effect once it is done. Thread-safe, does not wait.

        Waiting series leave the queue at once. A series in the model stops before its next step, and ``future``
        ends after that. It raises :class:`Stopped` with the first cause given, even if the last step was running.
        """
        self._worker._cancel(self, cause)

    @property
    def stage(self) -> Literal["queue", "inference"]:
        """ "inference" once the first series has reached the model."""
        return "inference" if self._reached else "queue"

    @property
    def queue_seconds(self) -> float:
        """Time since admission, until the job ended, in which none of its series was in the model."""
        return self._seconds("queue")

    @property
    def inference_seconds(self) -> float:
        """Time that its series spent in the model so far."""
        return self._seconds("model")

    @property
    def stage_seconds(self) -> Mapping[Stage, float]:
        """Time that its series spent in each stage, without a running one."""
        return dict(self._stage_seconds)

    def _seconds(self, place: _Place) -> float:
        with self._worker._changed:
            current = perf_counter() - self._since if self._place == place else 0.0
            return self._spent[place] + current

    def _move(self, place: _Place) -> float:
        """Move to ``place``; returns the seconds spent in the last one. The lock must be held."""
        now = perf_counter()
        seconds = now - self._since
        self._spent[self._place] += seconds
        self._place, self._since = place, now
        return seconds


class Worker:
    """A daemon thread and its queue."""

    def __init__(self, checkpoint: Checkpoint, capacity: int, observer: Observer | None = None) -> None:
        """Start the thread.

        Args:
            checkpoint: what to forecast with.
            capacity: maximum number of series that wait; the one in the model does not count.
            observer: told of waiting times, stages and batches.
        """
        if capacity < 1:
            raise ValueError(f"capacity must be 1 or more, got {capacity}")
        self._checkpoint = checkpoint
        self._capacity = capacity
        self._observer = observer or NullObserver()
        # Guards everything below and the private state of every job. Futures are resolved without it: their
        # callbacks may call the worker.
        self._changed = threading.Condition()
        self._queue: FairQueue[Job, Series] = FairQueue()
        self._running: Job | None = None
        self._closed: str | None = None
        self._seconds_per_series = 0.0
        self._thread = threading.Thread(target=self._run, name="kronos-worker", daemon=True)
        self._thread.start()

    @property
    def capacity(self) -> int:
        """Maximum number of series that wait."""
        return self._capacity

    @property
    def depth(self) -> int:
        """Series waiting. Takes no lock."""
        return len(self._queue)

    def submit(self, series: Sequence[Series], caller: str = "") -> Job:
        """Admit all of ``series`` as one job, or none. Does not wait.

        ``caller`` is any name. All callers get an equal share of the model, however much they ask for.

        Raises:
            QueueFull: there is no room for all of them.
            ForecastInvalid: ``series`` is empty.
            NotReady: the worker is closed.
        """
        if not series:
            raise ForecastInvalid("a job needs at least one series, got none")
        with self._changed:
            if self._closed is not None:
                raise NotReady(f"the worker is closed: {self._closed}")
            self.check_room(len(series), caller)
            job = Job(self, series)
            self._queue.add(caller, job, job._series)
            self._changed.notify()
        return job

    def check_room(self, asked: int, caller: str = "") -> None:
        """Raise :class:`QueueFull` if there is no room now for ``asked`` series of ``caller``.

        A caller with series waiting has to leave one in ``RESERVED_SHARE`` places free, so no caller can fill the
        queue alone.
        """
        with self._changed:
            depth = len(self._queue)
            reserved = self._capacity // RESERVED_SHARE if self._queue.waiting(caller) else 0
            missing = depth + asked + reserved - self._capacity
            if missing > 0:
                raise QueueFull(depth, self._capacity, asked, reserved, missing * self._pace())

    def close(self, cause: str) -> None:
        """Cancel all jobs for ``cause``, refuse new ones, and wait for the thread, which finishes its step."""
        with self._changed:
            if self._closed is None:
                self._closed = cause
            jobs = set(self._queue.jobs)
            if self._running is not None:
                jobs.add(self._running)
            self._changed.notify()
        for job in jobs:
            job.cancel(cause)
        # A future's callback runs on the worker thread, which cannot wait for itself.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _pace(self) -> float:
        """Seconds per series: the moving average, or the age of the running series if that is higher."""
        running = self._running
        current = 0.0 if running is None else perf_counter() - running._since
        return max(self._seconds_per_series, current)

    def _cancel(self, job: Job, cause: str) -> None:
        with self._changed:
            if job._place == "ended":
                return
            job._stop.stop(cause)
            self._queue.drop(job)
            if job is self._running:
                return
            job._move("ended")
        job.future.set_exception(Stopped(cause))

    def _run(self) -> None:
        while self._forecast_next():
            pass

    def _forecast_next(self) -> bool:
        """Wait for a series and forecast it; False once the worker is closed.

        A method of its own, so that no local variable keeps the last request alive while waiting for the next.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed is not None)
            if not self._queue:
                return False
            job, series = self._queue.take()
            self._running = job
            job._reached = True
            job._move("model")
        outcome = job._context.run(self._forecast, job, series)
        self._settle(job, outcome)
        return True

    def _forecast(self, job: Job, series: Series) -> Forecast | ForecasterError:
        def observe_stage(name: Stage, seconds: float) -> None:
            job._stage_seconds[name] = job._stage_seconds.get(name, 0.0) + seconds
            self._observer.stage(name, seconds)

        started = job._since
        waited = started - job._admitted
        _log.debug("series started", extra={"queue_ms": round(waited * 1000, 3), "candles": len(series.candles)})
        outcome: Forecast | ForecasterError
        try:
            self._observer.queue_wait(waited)
            self._observer.batch(1)
            outcome = forecast(self._checkpoint, series, stop=job._stop, observe_stage=observe_stage)
        # No error may end the thread.
        except Exception as error:
            outcome = classify(error)
        ended = {
            "inference_ms": round((perf_counter() - started) * 1000, 3),
            "reason": type(outcome).__name__ if isinstance(outcome, ForecasterError) else None,
        }
        _log.debug("series ended", extra=ended)
        return outcome

    def _settle(self, job: Job, outcome: Forecast | ForecasterError) -> None:
        """Record the outcome of a series. The last series of a job ends it, and so does one that fails."""
        with self._changed:
            self._running = None
            self._measure(job._move("queue"))
            if job._stop.cause is not None:
                outcome = Stopped(job._stop.cause)
            if isinstance(outcome, Forecast):
                job._forecasts.append(outcome)
                if len(job._forecasts) < len(job._series):
                    return
            else:
                self._queue.drop(job)
            job._move("ended")
        if isinstance(outcome, Forecast):
            job.future.set_result(job._forecasts)
        else:
            job.future.set_exception(outcome)

    def _measure(self, seconds: float) -> None:
        """Update the moving average. Stopped series count too: they also free a place."""
        known = self._seconds_per_series or seconds
        self._seconds_per_series = known + _RATE_MEMORY * (seconds - known)
