"""The scheduler: who may use the model, and when.

The seam for other schedulers: callers know ``submit``, ``depth``, ``capacity`` and ``close`` of a worker and
the public part of a :class:`Job`, nothing else. This one forecasts one series at a time, first come, first
served, on one thread.
"""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from time import perf_counter
from typing import Literal, NamedTuple, Protocol

from .checkpoint import Checkpoint
from .decoding import forecast
from .errors import ForecasterError, ForecastInvalid, NotReady, QueueFull, Stopped, classify
from .series import Forecast, Series, Stage
from .stop import StopToken


class Observer(Protocol):
    """Told what the scheduler does, on the scheduler's thread. An exception from it fails the job at hand."""

    def queue_wait(self, seconds: float) -> None:
        """A series reached the model, ``seconds`` after its admission."""

    def stage(self, name: Stage, seconds: float) -> None:
        """A stage of a model call ended, be it by a stop or an error."""

    def batch(self, series_count: int) -> None:
        """A model call began that decodes so many series together."""


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

    Attributes:
        future: the forecasts in the order of the series, or a ForecasterError: :class:`Stopped` after
            ``cancel``, else what befell the first series that failed. Its own ``cancel`` has no effect.
    """

    def __init__(self, worker: "Worker", series: Sequence[Series]) -> None:
        """Count the time from now on; the worker does the rest."""
        self.future: Future[list[Forecast]] = Future()
        # Otherwise Future.cancel, which asyncio calls on its own, would race with the worker's result.
        self.future.set_running_or_notify_cancel()
        self._worker = worker
        self._series = tuple(series)
        self._forecasts: list[Forecast] = []
        self._stop = StopToken()
        self._admitted = perf_counter()
        self._started: float | None = None
        self._ended: float | None = None

    def cancel(self, cause: str) -> None:
        """Stop all work on this job; without effect on a job that is done. Thread-safe, does not wait.

        Waiting series leave the queue at once; one in the model stops before its next step, and then only
        does ``future`` end. It raises :class:`Stopped` with the first cause given, also if the last step
        should be finished by then.
        """
        self._worker._cancel(self, cause)

    @property
    def stage(self) -> Literal["queue", "inference"]:
        """Where the job is, or was when it ended; "inference" once its first series reached the model."""
        return "queue" if self._started is None else "inference"

    @property
    def queue_seconds(self) -> float:
        """Time from admission until a series reached the model, else until the job ended, else until now."""
        until = next(time for time in (self._started, self._ended, perf_counter()) if time is not None)
        return until - self._admitted

    @property
    def inference_seconds(self) -> float:
        """Time from then until the job ended, or until now; 0 if no series reached the model."""
        if self._started is None:
            return 0.0
        return (perf_counter() if self._ended is None else self._ended) - self._started


class _Entry(NamedTuple):
    job: Job
    series: Series


class Worker:
    """One daemon thread that forecasts the series of all jobs, one at a time, first come, first served."""

    def __init__(self, checkpoint: Checkpoint, capacity: int, observer: Observer | None = None) -> None:
        """Start the thread.

        Args:
            checkpoint: what to forecast with.
            capacity: most series that may wait; the one in the model does not count.
            observer: told about waiting times, stages and batches.
        """
        if capacity < 1:
            raise ValueError(f"capacity must be 1 or more, got {capacity}")
        self._checkpoint = checkpoint
        self._capacity = capacity
        self._observer = observer or NullObserver()
        # Guards everything below and the private state of every job. Futures are resolved outside it: their
        # callbacks are other people's code and may call back.
        self._changed = threading.Condition()
        self._queue: deque[_Entry] = deque()
        self._running: Job | None = None
        self._closed: str | None = None
        self._thread = threading.Thread(target=self._run, name="kronos-worker", daemon=True)
        self._thread.start()

    @property
    def capacity(self) -> int:
        """Most series that may wait."""
        return self._capacity

    @property
    def depth(self) -> int:
        """Series waiting."""
        return len(self._queue)

    def submit(self, series: Sequence[Series]) -> Job:
        """Admit all of ``series`` as one job, or none. Does not wait.

        Raises:
            QueueFull: there is no room for all of them.
            ForecastInvalid: there are none.
            NotReady: the worker is closed.
        """
        if not series:
            raise ForecastInvalid("a job needs at least one series, got none")
        with self._changed:
            if self._closed is not None:
                raise NotReady(f"the worker is closed: {self._closed}")
            if len(self._queue) + len(series) > self._capacity:
                raise QueueFull(len(self._queue), self._capacity, len(series))
            job = Job(self, series)
            self._queue.extend(_Entry(job, one) for one in series)
            self._changed.notify()
        return job

    def close(self, cause: str) -> None:
        """Cancel all jobs for ``cause``, refuse new ones and wait for the thread to end: at most one step."""
        with self._changed:
            if self._closed is None:
                self._closed = cause
            jobs = {entry.job for entry in self._queue}
            if self._running is not None:
                jobs.add(self._running)
            self._changed.notify()
        for job in jobs:
            job.cancel(cause)
        # A future's callback runs on the worker thread, which cannot wait for itself.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _cancel(self, job: Job, cause: str) -> None:
        with self._changed:
            if job._ended is not None:
                return
            job._stop.stop(cause)
            self._drop(job)
            if job is self._running:
                return
            job._ended = perf_counter()
        job.future.set_exception(Stopped(cause))

    def _run(self) -> None:
        while self._forecast_next():
            pass

    def _forecast_next(self) -> bool:
        """Wait for a series and forecast it; False once the worker is closed.

        A method of its own, so that nothing of the last request is held while waiting for the next.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed is not None)
            if not self._queue:
                return False
            job, series = self._queue.popleft()
            self._running = job
            started = perf_counter()
            if job._started is None:
                job._started = started
        try:
            self._observer.queue_wait(started - job._admitted)
            self._observer.batch(1)
            outcome: Forecast | ForecasterError = forecast(
                self._checkpoint, series, stop=job._stop, observe_stage=self._observer.stage
            )
        # Whatever befalls one series, the thread lives on.
        except Exception as error:
            outcome = classify(error)
        self._settle(job, outcome)
        return True

    def _settle(self, job: Job, outcome: Forecast | ForecasterError) -> None:
        """Note the outcome of the series in the model; the last one, or the first to fail, ends its job."""
        with self._changed:
            self._running = None
            if job._stop.cause is not None:
                outcome = Stopped(job._stop.cause)
            if isinstance(outcome, Forecast):
                job._forecasts.append(outcome)
                if len(job._forecasts) < len(job._series):
                    return
            else:
                self._drop(job)
            job._ended = perf_counter()
        if isinstance(outcome, Forecast):
            job.future.set_result(job._forecasts)
        else:
            job.future.set_exception(outcome)

    def _drop(self, job: Job) -> None:
        self._queue = deque(entry for entry in self._queue if entry.job is not job)
