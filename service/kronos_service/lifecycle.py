"""The life cycle of the service: loading the model, ready, draining, stopping."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from typing import TYPE_CHECKING, Literal

from kronos_service.api.errors import LOADING_RETRY_SECONDS, SHORTEST_RETRY_SECONDS, Kinds, Problem, retry_after
from kronos_service.forecaster import (
    DEMO_MODEL,
    DEMO_TOKENIZER,
    CheckpointInvalid,
    CheckpointNotFound,
    Forecaster,
    ModelFailed,
    NotReady,
    QueueFull,
    Stopped,
)
from kronos_service.telemetry import logs

if TYPE_CHECKING:
    from kronos_service.settings import Settings
    from kronos_service.telemetry.metrics import Metrics

_LONGEST_BACKOFF = 10
"""Longest pause between two loads, in multiples of ``load_retry_seconds``."""

_WATCH_SECONDS = 0.5
"""How often it is looked whether the model still works."""

_log = logs.get_logger("kronos.lifecycle")


class Lifecycle:
    """Loads the model in the background, and knows whether requests are accepted.

    A forecaster that is ready already is not loaded again. ``draining`` is true from the first stop signal: no longer
    ready, but still accepting requests. ``refusing`` is true from the end of the drain: admitted requests are
    finished, new ones refused. ``running`` is the number of requests to API routes that are not answered yet.
    """

    def __init__(self, settings: Settings, forecaster: Forecaster, metrics: Metrics) -> None:
        self.draining = False
        self.refusing = False
        self.running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._interrupted: asyncio.Future[None] | None = None
        self._settings = settings
        self._forecaster = forecaster
        self._metrics = metrics
        self._stopped = threading.Event()
        self._failure: str | None = None
        self._next_load = 0.0
        self._loading = False
        self._sick = False
        metrics.gauge("kronos_model_ready").set_function(lambda: float(self._ready))
        metrics.gauge("kronos_model_call_seconds").set_function(lambda: forecaster.call_seconds)
        metrics.gauge("kronos_draining").set_function(lambda: float(self.draining))

    def start(self) -> None:
        """Load the model in the background."""
        if self._forecaster.ready:
            return
        self._loading = True
        # A daemon, because nothing can interrupt PyTorch while it reads a file, and a stop must not wait for it.
        threading.Thread(target=self._load_until_ready, name="kronos-loader", daemon=True).start()

    def check_healthy(self) -> None:
        """Raise the Problem if only a restart can help: the model does not come back from a call."""
        if self._stuck:
            raise Problem(Kinds.stuck, self._stuck_detail)

    def drain(self) -> None:
        """Stop being ready."""
        self.draining = True

    def refuse(self) -> None:
        """Stop accepting requests."""
        self.draining = self.refusing = True

    def interrupt(self) -> None:
        """End all unfinished forecasts with :class:`Stopped`. To be called on the event loop."""
        self.refuse()
        if not self.interrupted().done():
            self.interrupted().set_result(None)

    def interrupted(self) -> asyncio.Future[None]:
        """A future that ``interrupt`` completes. To be called on the event loop."""
        if self._interrupted is None:
            self._interrupted = asyncio.get_running_loop().create_future()
        return self._interrupted

    @property
    def cancellation(self) -> Literal["client_disconnect", "shutdown"]:
        """Why a server cancels the task of a request.

        After an interrupt it gives up on what has not ended yet. Until then it says that nobody waits for the answer.
        """
        return "shutdown" if self._interrupted is not None and self._interrupted.done() else "client_disconnect"

    async def idle(self, seconds: float) -> bool:
        """Wait until nothing is running, or for ``seconds``; returns whether nothing is."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def stop(self) -> None:
        """Stop loading, and whatever the model is working on. Blocks for up to one step of the model."""
        self.refuse()
        self._stopped.set()
        self._forecaster.close("shutdown")

    def begin(self, route: str) -> None:
        """Count a request to an API route as running."""
        self._metrics.gauge("kronos_concurrent_requests", route).inc()
        self.running += 1
        self._idle.clear()

    def end(self, route: str) -> None:
        """The request that ``begin`` counted is answered."""
        self.running -= 1
        if not self.running:
            self._idle.set()
        self._metrics.gauge("kronos_concurrent_requests", route).dec()

    def check_ready(self) -> None:
        """Raise the Problem if this instance is not ready."""
        if self.draining:
            raise Problem(Kinds.draining, Kinds.draining.example, retry_after_seconds=SHORTEST_RETRY_SECONDS)
        self._check_loaded()

    def check_accepting(self, caller: str) -> None:
        """Raise a Problem or QueueFull if no forecast is accepted from ``caller`` now."""
        if self.refusing:
            raise Problem(Kinds.draining, Kinds.draining.example, retry_after_seconds=SHORTEST_RETRY_SECONDS)
        self._check_loaded()
        self._forecaster.check_room(1, caller)

    @property
    def _ready(self) -> bool:
        return self._loaded_and_told and not self._stuck and not self._sick

    @property
    def _loaded_and_told(self) -> bool:
        # Only once the metrics say what was loaded: they may be read as soon as the probe succeeds.
        return self._forecaster.ready and not self._loading

    @property
    def _stuck(self) -> bool:
        return self._forecaster.call_seconds >= self._settings.stuck_seconds

    @property
    def _stuck_detail(self) -> str:
        return f"the model has been in one call for {self._forecaster.call_seconds:.0f} s: restart this instance"

    def _check_loaded(self) -> None:
        if self._ready:
            return
        if self._stuck:
            raise Problem(Kinds.not_ready, self._stuck_detail, retry_after_seconds=LOADING_RETRY_SECONDS)
        if self._sick:
            detail = (
                f"the model failed {self._forecaster.failures} times in a row; it is tried again every "
                f"{self._settings.load_retry_seconds:g} s, and the log has the details"
            )
            raise Problem(Kinds.not_ready, detail, retry_after_seconds=retry_after(self._settings.load_retry_seconds))
        detail = "the model is loading: try again later"
        if self._failure is not None:
            detail = f"the model could not be loaded: {self._failure}; it is tried again, the log has the details"
        # Even a load that succeeds takes a while.
        seconds = retry_after(self._next_load - time.monotonic() + LOADING_RETRY_SECONDS)
        raise Problem(Kinds.not_ready, detail, retry_after_seconds=max(LOADING_RETRY_SECONDS, seconds))

    def _load_until_ready(self) -> None:
        pause = self._settings.load_retry_seconds
        while not self._stopped.is_set():
            started = time.perf_counter()
            try:
                self._load()
            except Stopped:
                return
            except Exception as error:
                self._failed(error, pause)
                self._stopped.wait(pause)
                pause = min(2 * pause, _LONGEST_BACKOFF * self._settings.load_retry_seconds)
            else:
                self._loaded(time.perf_counter() - started)
                self._watch()
                return

    def _watch(self) -> None:
        """Try the model with a series of our own when callers' series fail one after another, until it works again.

        Theirs may fail because they are too large for the memory, and nobody else should be refused for that. And
        whoever calls a sick instance is refused, so nothing else would tell when its model works again.
        """
        while not self._stopped.wait(_WATCH_SECONDS):
            suspect = self._sick or self._forecaster.failures >= self._settings.sick_failures
            if not suspect or self._stuck:
                continue
            failed = self._probe_fails()
            if failed != self._sick:
                self._sick = failed
                event = "model not working" if failed else "model works again"
                _log.log(logging.ERROR if failed else logging.INFO, event, failures=self._forecaster.failures)
            if failed:
                self._stopped.wait(self._settings.load_retry_seconds)

    def _probe_fails(self) -> bool:
        """Whether the model fails at a series of our own; as before, if it does not get to it."""
        try:
            job = self._forecaster.probe()
        except (NotReady, QueueFull):
            return self._sick
        try:
            job.future.result(self._settings.stuck_seconds)
        except ModelFailed:
            return True
        except (Stopped, TimeoutError):
            job.cancel("timeout")
            return self._sick
        return False

    def _load(self) -> None:
        settings = self._settings
        self._forecaster.load(
            str(DEMO_MODEL) if settings.model == "demo" else settings.model,
            str(DEMO_TOKENIZER) if settings.tokenizer in {None, "demo"} else str(settings.tokenizer),
            model_revision=settings.model_revision,
            tokenizer_revision=settings.tokenizer_revision,
            device=settings.device,
            dtype=settings.dtype,
            max_context=settings.max_context,
            precision=settings.compat or "float64",
        )

    def _failed(self, error: Exception, pause: float) -> None:
        if isinstance(error, CheckpointNotFound):
            outcome = "not_found"
        elif isinstance(error, CheckpointInvalid):
            outcome = "invalid"
        else:
            outcome = "error"
        # Callers get the contract's sentence; paths and the texts of libraries go to the log only.
        self._failure = self._metrics.load_failed(outcome)
        self._next_load = time.monotonic() + pause
        _log.error(
            "model not loaded",
            outcome=outcome,
            model=self._settings.model,
            reason=str(error),
            retry_seconds=pause,
            **({"exc_info": error} if outcome == "error" else {}),
        )

    def _loaded(self, seconds: float) -> None:
        info = self._forecaster.info
        if info is None:  # closed meanwhile
            return
        self._metrics.load_succeeded(seconds, info)
        self._loading = False
        # Modules and weights are never garbage. Leaving them out of full collections, which stop the event loop,
        # makes those take milliseconds instead of a tenth of a second.
        gc.collect()
        gc.freeze()
        _log.info(
            "model loaded",
            model=version_of(info.model_name, info.revision),
            tokenizer=version_of(info.tokenizer_name, info.tokenizer_revision),
            max_context=info.max_context,
            max_context_from=info.max_context_from,
            seconds=round(seconds, 3),
        )


def version_of(name: str, revision: str) -> str:
    """A model or tokenizer as callers see it."""
    return f"{name}@{revision}"
