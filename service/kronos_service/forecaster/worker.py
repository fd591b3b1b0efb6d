"""The only thread that runs the model: admits series to it in turn, and settles what becomes of them.

Callers only use the public parts of :class:`Worker` and :class:`.job.Job`.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

from .checkpoint import Checkpoint
from .errors import ForecasterError, ForecastInvalid, ModelFailed, NotReady, QueueFull, Stopped, TooMuchWork, classify
from .job import Job
from .observer import NullObserver, Observer
from .pace import Pace, Work
from .progress import Progress
from .room import RESERVED_SHARE, Limits, Room
from .scheduler import Call, Scheduler
from .series import Forecast, Series, Stage, StageTime
from .turns import Turns

_DECAY = 0.9
"""How much of what was known of the throughput stays when a series ends."""

_log = logging.getLogger("kronos.forecaster")


@dataclass(frozen=True, eq=False)
class _Piece:
    """A series of a job, and its place there."""

    job: Job
    place: int
    series: Series
    work: Work


class Worker:
    """A daemon thread, its queue and its scheduler."""

    def __init__(self, checkpoint: Checkpoint, limits: Limits, observer: Observer | None = None) -> None:
        """Start the thread.

        Args:
            checkpoint: what to forecast with.
            limits: how much to take on.
            observer: told of waiting times, stages and steps.
        """
        if limits.waiting < 1:
            raise ValueError(f"at least one series must be able to wait, got {limits.waiting}")
        self._checkpoint = checkpoint
        self._limits = limits
        self._observer = observer or NullObserver()
        # Guards everything below and the private state of every job. Futures are resolved without it: their
        # callbacks may call the worker.
        self._changed = threading.Condition()
        self._turns: Turns[Job, _Piece] = Turns(lambda piece: piece.work.cost)
        self._in_model: set[_Piece] = set()
        self._room = Room(checkpoint, limits)
        self._closed: str | None = None
        self._pace = Pace()
        self._done = self._busy = 0.0
        """Cost of the series that have ended, and the seconds they took; older ones count less."""
        self._busy_since: float | None = None
        self._called: float | None = None
        """When the model was called, while it runs."""
        self._failures = 0
        # Only used by the thread.
        self._scheduler = Scheduler(checkpoint)
        self._pieces: dict[Progress, _Piece] = {}
        self._thread = threading.Thread(target=self._run, name="kronos-worker", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Series waiting. Takes no lock."""
        return len(self._turns)

    @property
    def running(self) -> int:
        """Series in the model. Takes no lock."""
        return len(self._in_model)

    @property
    def positions(self) -> int:
        """Positions reserved in the caches of the series in the model. Takes no lock."""
        return self._room.positions

    @property
    def position_limit(self) -> int:
        """Positions for which there is memory."""
        return self._room.position_limit

    @property
    def call_seconds(self) -> float:
        """How long the model has been in its running call; 0 while it is idle. Takes no lock."""
        called = self._called
        return 0.0 if called is None else perf_counter() - called

    @property
    def failures(self) -> int:
        """Series that failed one after another, through no fault of theirs, since the last that succeeded."""
        return self._failures

    def submit(self, series: Sequence[Series], caller: str = "") -> Job:
        """Admit all of ``series`` as one job, or none. Does not wait.

        ``caller`` is any name. All callers get an equal share of the model, however much they ask for.

        Raises:
            TooMuchWork: the model could not do it in time, even if it did nothing else.
            QueueFull: there is no room for all of them.
            ForecastInvalid: ``series`` is empty.
            NotReady: the worker is closed.
        """
        if not series:
            raise ForecastInvalid("a job needs at least one series, got none")
        works = [Work.of(one, self._checkpoint.max_context, self._limits.hop) for one in series]
        with self._changed:
            if self._closed is not None:
                raise NotReady(f"the worker is closed: {self._closed}")
            self._check_time(works)
            self.check_room(len(series), caller)
            job = Job(caller, series, self._changed, self._take_out)
            pieces = [_Piece(job, *each) for each in zip(range(len(series)), series, works, strict=True)]
            self._turns.add(caller, job, pieces)
            self._changed.notify()
        return job

    def check_room(self, asked: int, caller: str = "") -> None:
        """Raise :class:`QueueFull` if there is no room now for ``asked`` series of ``caller``.

        A caller with series waiting has to leave one in ``RESERVED_SHARE`` places free, so no caller can fill the
        queue alone.
        """
        with self._changed:
            depth, capacity = len(self._turns), self._limits.waiting
            reserved = capacity // RESERVED_SHARE if self._turns.waiting(caller) else 0
            missing = depth + asked + reserved - capacity
            if missing > 0:
                seconds = missing / max(depth, 1) * self._backlog()
                raise QueueFull(depth, capacity, asked, reserved, seconds)

    def close(self, cause: str) -> None:
        """Cancel all jobs for ``cause``, refuse new ones, and wait for the thread to finish its chunk or step."""
        with self._changed:
            if self._closed is None:
                self._closed = cause
            jobs = {*self._turns.jobs, *(piece.job for piece in self._in_model)}
            self._changed.notify()
        for job in jobs:
            job.cancel(cause)
        # A future's callback runs on the worker thread, which cannot wait for itself.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _check_time(self, works: Sequence[Work]) -> None:
        seconds = self._pace.seconds(sum(works, Work()))
        if seconds > self._limits.seconds:
            self._pace.relax()
            raise TooMuchWork(seconds, self._limits.seconds)

    def _backlog(self) -> float:
        """Seconds until all that waits is done, at the measured throughput."""
        busy = self._busy
        if self._busy_since is not None:
            busy += perf_counter() - self._busy_since
        return self._turns.cost * busy / self._done if self._done else 0.0

    def _take_out(self, job: Job) -> bool:
        """Take a stopped job out of the queue; returns whether that ends it."""
        for _ in range(self._turns.drop(job)):
            self._tell(self._observer.queue_wait, perf_counter() - job.admitted)
        if any(piece.job is job for piece in self._in_model):
            return False
        job.end()
        return True

    def _run(self) -> None:
        while self._turn():
            pass

    def _turn(self) -> bool:
        """Wait for work and do a little of it; False once the worker is closed.

        A method of its own, so that no local variable keeps the last request alive while waiting for the next.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._turns or self._in_model or self._closed is not None)
            if not self._turns and not self._in_model:
                return False
            joining = self._admit()
            if self._busy_since is None:
                self._busy_since = perf_counter()
        for piece in joining:
            piece.job.context.run(self._join, piece)
        self._called = perf_counter()
        turn = self._scheduler.turn()
        self._called = None
        self._measure(turn.calls)
        for progress in turn.ended:
            piece = self._pieces.pop(progress)
            piece.job.context.run(self._leave, piece, progress)
        return True

    def _admit(self) -> list[_Piece]:
        """Take what enters the model now from the queue. The lock must be held."""
        admitted = []
        while (caller := self._next_caller()) is not None:
            job, piece = self._turns.take(caller)
            job.enter()
            self._in_model.add(piece)
            self._room.enter(caller, piece.series)
            admitted.append(piece)
        return admitted

    def _next_caller(self) -> str | None:
        """Whose piece enters the model now; None if nothing waits or fits."""
        following = self._turns.next()
        if following is not None and not self._room.leaves_reserve(following[0], following[1].series):
            following = self._turns.next(without=self._room.callers)
        return following[0] if following is not None and self._room.fits(following[1].series) else None

    def _join(self, piece: _Piece) -> None:
        waited = perf_counter() - piece.job.admitted
        _log.debug(
            "series started", extra={"queue_ms": round(waited * 1000, 3), "candles": len(piece.series.candles)}
        )
        self._tell(self._observer.queue_wait, waited)
        try:
            progress = Progress(self._checkpoint, piece.series, piece.job.stop, self._limits.hop)
        # No error may end the thread.
        except Exception as error:
            self._settle(piece, classify(error), {})
        else:
            self._pieces[progress] = piece
            self._scheduler.add(progress)

    def _leave(self, piece: _Piece, progress: Progress) -> None:
        outcome = progress.outcome
        assert outcome is not None  # noqa: S101 - it has left
        for stage, time in progress.stages.items():
            self._tell(self._observer.stage, stage, time.seconds)
        if progress.first_candle is not None:
            self._tell(self._observer.first_candle, progress.first_candle - piece.job.admitted)
        if progress.drawn > 1:
            self._tell(self._observer.candle, progress.stages["decode"].seconds / (progress.drawn - 1))
        ended = {
            "inference_ms": round(sum(time.seconds for time in progress.stages.values()) * 1000, 3),
            "reason": type(outcome).__name__ if isinstance(outcome, ForecasterError) else None,
        }
        _log.debug("series ended", extra=ended)
        self._settle(piece, outcome, progress.stages)

    def _settle(self, piece: _Piece, outcome: Forecast | ForecasterError, stages: Mapping[Stage, StageTime]) -> None:
        """Record the outcome of a series. The last series of a job ends it, and so does one that fails."""
        job = piece.job
        with self._changed:
            self._in_model.remove(piece)
            self._room.leave(job.caller, piece.series)
            self._count_done(piece.work)
            if isinstance(outcome, Forecast):
                self._failures = 0
            elif isinstance(outcome, ModelFailed):
                self._failures += 1
            over = job.leave(piece.place, outcome, stages)
            if over:
                self._turns.drop(job)
        if not over:
            return
        if job.stop.cause is not None:
            job.future.set_exception(Stopped(job.stop.cause))
        elif isinstance(outcome, ForecasterError):
            # Those of its series that are still in the model have nobody to work for.
            job.stop.stop("another series of the job failed")
            job.future.set_exception(outcome)
        else:
            job.future.set_result(job.forecasts())

    def _measure(self, calls: Sequence[Call]) -> None:
        with self._changed:
            for call in calls:
                self._pace.took(*call)
        for call in calls:
            if call.state == "draw":
                self._tell(self._observer.step, call.size)

    def _count_done(self, work: Work) -> None:
        """Update the throughput. Stopped series count too: they also make room."""
        now = perf_counter()
        since = self._busy_since or now
        self._done = _DECAY * self._done + work.cost
        self._busy = _DECAY * self._busy + now - since
        self._busy_since = now if self._in_model or self._turns else None

    def _tell(self, method: Callable[..., None], *values: object) -> None:
        try:
            method(*values)
        except Exception:
            _log.exception("an observer failed")
