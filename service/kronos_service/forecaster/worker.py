"""The scheduler: who may use the model, and when.

The seam for other schedulers: callers know ``submit``, ``check_room``, ``depth``, ``capacity`` and ``close`` of a
worker and the public part of a :class:`Job`, nothing else. This one forecasts one series at a time on one thread,
the callers in turns.
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
from .series import Forecast, Series, Stage
from .stop import StopToken
from .turns import Turns

RESERVED_SHARE = 8
"""One in so many places of the queue is kept for callers who have nothing waiting."""

_RATE_MEMORY = 0.2
"""How much the newest series counts in the measured rate."""

_Place = Literal["queue", "model", "ended"]
"""Where a job is: waiting for its next turn, with a series in the model, or neither any more."""

_log = logging.getLogger("kronos.forecaster")


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

    The model works on it in a copy of the context variables of whoever submitted it, so that what is logged there
    says for whom.

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
        self._context = contextvars.copy_context()
        self._admitted = self._since = perf_counter()
        self._place: _Place = "queue"
        self._spent: dict[_Place, float] = {"queue": 0.0, "model": 0.0, "ended": 0.0}
        """Seconds in each place, without those since it came to the one where it is."""
        self._reached = False
        self._stage_seconds: dict[Stage, float] = {}

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
        return "inference" if self._reached else "queue"

    @property
    def queue_seconds(self) -> float:
        """Time in which none of its series was in the model, from admission until the job ended, or until now."""
        return self._seconds("queue")

    @property
    def inference_seconds(self) -> float:
        """Time that its series spent in the model, until now."""
        return self._seconds("model")

    @property
    def stage_seconds(self) -> Mapping[Stage, float]:
        """Time that its series spent in each stage of the model that ended by now."""
        return dict(self._stage_seconds)

    def _seconds(self, place: _Place) -> float:
        with self._worker._changed:
            current = perf_counter() - self._since if self._place == place else 0.0
            return self._spent[place] + current

    def _move(self, place: _Place) -> float:
        """Note that it is there from now on; returns the seconds since the last move. The lock must be held."""
        now = perf_counter()
        seconds = now - self._since
        self._spent[self._place] += seconds
        self._place, self._since = place, now
        return seconds


class Worker:
    """One daemon thread that forecasts the series of all jobs, one at a time, the callers in turns."""

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
        self._queue: Turns[Job, Series] = Turns()
        self._running: Job | None = None
        self._closed: str | None = None
        self._seconds_per_series = 0.0
        self._thread = threading.Thread(target=self._run, name="kronos-worker", daemon=True)
        self._thread.start()

    @property
    def capacity(self) -> int:
        """Most series that may wait."""
        return self._capacity

    @property
    def depth(self) -> int:
        """Series waiting. Does not wait for a lock."""
        return len(self._queue)

    def submit(self, series: Sequence[Series], caller: str = "") -> Job:
        """Admit all of ``series`` as one job, or none. Does not wait.

        ``caller`` is any name; callers take turns, however much each of them asks for.

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
            self.check_room(len(series), caller)
            job = Job(self, series)
            self._queue.add(caller, job, job._series)
            self._changed.notify()
        return job

    def check_room(self, asked: int, caller: str = "") -> None:
        """Raise :class:`QueueFull` if there is no room for so many series of ``caller`` now.

        A caller who has series waiting leaves one in ``RESERVED_SHARE`` places to the others: nobody can take the
        whole queue.
        """
        with self._changed:
            depth = len(self._queue)
            reserved = self._capacity // RESERVED_SHARE if self._queue.held(caller) else 0
            missing = depth + asked + reserved - self._capacity
            if missing > 0:
                raise QueueFull(depth, self._capacity, asked, reserved, missing * self._pace())

    def close(self, cause: str) -> None:
        """Cancel all jobs for ``cause``, refuse new ones and wait for the thread to end: at most one step."""
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
        """Seconds per series, as measured; a series that takes longer than those before it counts already."""
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

        A method of its own, so that nothing of the last request is held while waiting for the next.
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
        # Whatever befalls one series, the thread lives on.
        except Exception as error:
            outcome = classify(error)
        ended = {
            "inference_ms": round((perf_counter() - started) * 1000, 3),
            "reason": type(outcome).__name__ if isinstance(outcome, ForecasterError) else None,
        }
        _log.debug("series ended", extra=ended)
        return outcome

    def _settle(self, job: Job, outcome: Forecast | ForecasterError) -> None:
        """Note the outcome of the series in the model; the last one, or the first to fail, ends its job."""
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
        """Take the time of a series into the rate. One that was stopped early counts too: it has made room."""
        known = self._seconds_per_series or seconds
        self._seconds_per_series = known + _RATE_MEMORY * (seconds - known)
