"""The life of the service: loading the model, being ready, draining, stopping."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kronos_service.api.errors import LOADING_RETRY_SECONDS, SHORTEST_RETRY_SECONDS, Kinds, Problem, retry_after
from kronos_service.forecaster import (
    CheckpointInvalid,
    CheckpointNotFound,
    Forecaster,
    Stopped,
    write_demo_checkpoint,
)
from kronos_service.telemetry import logs

if TYPE_CHECKING:
    from kronos_service.settings import Settings
    from kronos_service.telemetry.metrics import Metrics

_LONGEST_BACKOFF = 10
"""Most that the pause between two loads grows to, in multiples of ``load_retry_seconds``."""

_log = logs.get_logger("kronos.lifecycle")


class Lifecycle:
    """Loads the model in the background and knows whether the service takes requests.

    ``draining`` is true from the first stop signal on: not ready any more, but still answering. ``refusing`` is
    true from the end of the drain: what is admitted is finished, nothing new is taken. ``running`` counts the
    requests to API routes that are not answered yet.
    """

    def __init__(self, settings: Settings, forecaster: Forecaster, metrics: Metrics) -> None:
        """``forecaster`` may be ready already; then ``start`` loads nothing."""
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
        metrics.gauge("kronos_model_ready").set_function(lambda: float(self._ready))
        metrics.gauge("kronos_draining").set_function(lambda: float(self.draining))

    def start(self) -> None:
        """Begin to load the model; returns at once."""
        if self._forecaster.ready:
            return
        self._loading = True
        # A daemon, because nothing can interrupt PyTorch while it reads a file, and a stop must not wait for it.
        threading.Thread(target=self._load_until_ready, name="kronos-loader", daemon=True).start()

    def drain(self) -> None:
        """Stop being ready."""
        self.draining = True

    def refuse(self) -> None:
        """Stop taking requests."""
        self.draining = self.refusing = True

    def interrupt(self) -> None:
        """Let all forecasts that are not done end with :class:`Stopped`, at once. For the event loop."""
        self.refuse()
        if not self.interrupted().done():
            self.interrupted().set_result(None)

    def interrupted(self) -> asyncio.Future[None]:
        """Done as soon as nothing may be finished any more. For the event loop."""
        if self._interrupted is None:
            self._interrupted = asyncio.get_running_loop().create_future()
        return self._interrupted

    async def idle(self, seconds: float) -> bool:
        """Wait until nothing is running, at most so many seconds; returns whether it came to that."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def stop(self) -> None:
        """Give up loading, and stop what the model still works on. Blocks for up to one step of the model."""
        self.refuse()
        self._stopped.set()
        self._forecaster.close("shutdown")

    def begin(self, route: str) -> None:
        """Count a request to an API route as running, until ``end``."""
        self._metrics.gauge("kronos_concurrent_requests", route).inc()
        self.running += 1
        self._idle.clear()

    def end(self, route: str) -> None:
        """A request that ``begin`` has counted is answered."""
        self.running -= 1
        if not self.running:
            self._idle.set()
        self._metrics.gauge("kronos_concurrent_requests", route).dec()

    def check_ready(self) -> None:
        """Raise the Problem that keeps this instance from being ready, if there is one."""
        if self.draining:
            raise Problem(Kinds.draining, Kinds.draining.example, retry_after_seconds=SHORTEST_RETRY_SECONDS)
        self._check_loaded()

    def check_accepting(self, caller: str) -> None:
        """Raise what keeps a forecast for ``caller`` from being taken on, if there is anything."""
        if self.refusing:
            raise Problem(Kinds.draining, Kinds.draining.example, retry_after_seconds=SHORTEST_RETRY_SECONDS)
        self._check_loaded()
        self._forecaster.check_room(1, caller)

    @property
    def _ready(self) -> bool:
        # Not before the metrics say what was loaded: whoever sees it ready may look there next.
        return self._forecaster.ready and not self._loading

    def _check_loaded(self) -> None:
        if self._ready:
            return
        detail = "the model is loading: try again later"
        if self._failure is not None:
            detail = f"the model could not be loaded: {self._failure}; it is tried again, the log has the details"
        # A load takes a while even where it succeeds.
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
                return

    def _load(self) -> None:
        settings = self._settings
        with tempfile.TemporaryDirectory(prefix="kronos-demo-") as folder:
            demo_model, demo_tokenizer = (None, None)
            if "demo" in {settings.model, settings.tokenizer}:
                demo_model, demo_tokenizer = write_demo_checkpoint(Path(folder))
            self._forecaster.load(
                str(demo_model) if settings.model == "demo" else settings.model,
                str(demo_tokenizer) if settings.tokenizer in {None, "demo"} else str(settings.tokenizer),
                model_revision=settings.model_revision,
                tokenizer_revision=settings.tokenizer_revision,
                device=settings.device,
                max_context=settings.max_context,
            )

    def _failed(self, error: Exception, pause: float) -> None:
        if isinstance(error, CheckpointNotFound):
            outcome = "not_found"
        elif isinstance(error, CheckpointInvalid):
            outcome = "invalid"
        else:
            outcome = "error"
        # Callers get the contract's sentence; paths and library texts are for the log.
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
        # What the libraries and the model have built stays for good: without it in every full collection, those
        # (which stop the event loop too) take milliseconds instead of a tenth of a second.
        gc.collect()
        gc.freeze()
        _log.info("model loaded", model=version_of(info.model_name, info.revision), seconds=round(seconds, 3))


def version_of(name: str, revision: str) -> str:
    """A model or tokenizer as callers see it: ``name@revision``, or the name alone where it is a local folder."""
    return name if revision == "local" else f"{name}@{revision}"
