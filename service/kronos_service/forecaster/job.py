"""What was admitted together, and what became of it."""

import contextvars
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Condition
from time import perf_counter
from typing import Literal

from .errors import ForecasterError, Stopped
from .series import Forecast, Series, Stage, StageTime
from .stop import StopToken

_Place = Literal["queue", "model", "ended"]
"""Where a job is: waiting with all its series, with one or more in the model, or ended."""


class Job:
    """Series admitted together. Made by :meth:`.worker.Worker.submit`, whose lock guards it.

    Attributes:
        future: the forecasts in the order of the series, or a ForecasterError: :class:`Stopped` after
            ``cancel``, else the error of the first series that failed. Its own ``cancel`` has no effect.
        caller: whose it is.
        context: the submitter's context variables, so that log lines of the worker carry the request id.
        admitted: when, by ``perf_counter``.
        stop: stops its series in the model.
    """

    def __init__(
        self, caller: str, series: Sequence[Series], lock: Condition, cancel: Callable[["Job"], bool]
    ) -> None:
        """Not for callers of the worker; ``cancel`` takes a stopped job out, and returns whether it has ended."""
        self.future: Future[list[Forecast]] = Future()
        # Otherwise Future.cancel, which asyncio calls on its own, would race with the worker's result.
        self.future.set_running_or_notify_cancel()
        self.caller = caller
        self.context = contextvars.copy_context()
        self.stop = StopToken()
        self.admitted = self._since = perf_counter()
        self.series = tuple(series)
        self._lock = lock
        self._take_out = cancel
        self._forecasts: dict[int, Forecast] = {}
        self._in_model = 0
        self._place: _Place = "queue"
        self._spent: dict[_Place, float] = {"queue": 0.0, "model": 0.0, "ended": 0.0}
        """Seconds in each place, up to the last move."""
        self._reached = False
        self._stages: dict[Stage, StageTime] = {}

    def cancel(self, cause: str) -> None:
        """Stop all work on this job; no effect once it is done. Thread-safe, does not wait.

        Waiting series leave the queue at once. Those in the model leave it before its next chunk or step, and
        ``future`` ends after that. It raises :class:`Stopped` with the first cause given, even if the last step was
        running.
        """
        with self._lock:
            if self.ended:
                return
            self.stop.stop(cause)
            ended = self._take_out(self)
        if ended:
            self.future.set_exception(Stopped(cause))

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
        """Time in which one or more of its series were in the model."""
        return self._seconds("model")

    @property
    def stages(self) -> Mapping[Stage, StageTime]:
        """The time in each stage of those of its series that have left the model."""
        return dict(self._stages)

    # For the worker, under its lock:

    @property
    def ended(self) -> bool:
        """Whether its outcome is settled."""
        return self._place == "ended"

    def enter(self) -> None:
        """One of its series enters the model."""
        self._in_model += 1
        self._reached = True
        if self._place == "queue":
            self._move("model")

    def leave(self, index: int, outcome: Forecast | ForecasterError, stages: Mapping[Stage, StageTime]) -> bool:
        """One of its series leaves the model with ``outcome``; returns whether that ends the job."""
        self._in_model -= 1
        for stage, time in stages.items():
            self._stages[stage] = self._stages[stage] + time if stage in self._stages else time
        if self.ended:
            return False
        if isinstance(outcome, Forecast):
            self._forecasts[index] = outcome
        if self.stop.cause is not None:
            over = self._in_model == 0
        else:
            over = len(self._forecasts) == len(self.series) or isinstance(outcome, ForecasterError)
        if over:
            self.end()
        elif self._in_model == 0:
            self._move("queue")
        return over

    def end(self) -> None:
        """Nothing more happens to it."""
        self._move("ended")

    def forecasts(self) -> list[Forecast]:
        """Of all its series, in their order."""
        return [self._forecasts[index] for index in range(len(self.series))]

    def _seconds(self, place: _Place) -> float:
        with self._lock:
            current = perf_counter() - self._since if self._place == place else 0.0
            return self._spent[place] + current

    def _move(self, place: _Place) -> None:
        now = perf_counter()
        self._spent[self._place] += now - self._since
        self._place, self._since = place, now
