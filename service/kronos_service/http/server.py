"""The running service: uvicorn on its sockets, and what the stop signals do.

The first SIGTERM or SIGINT drains: not ready at once, still taking requests for ``KRONOS_DRAIN_SECONDS``, then
finishing what was admitted for up to ``KRONOS_SHUTDOWN_SECONDS``, then stopping the rest. Probes and scrapes are
answered to the end. The second signal stops now.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import Literal

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from kronos_mixin import __version__
from kronos_service import signals
from kronos_service.http.listen import Listener
from kronos_service.http.protocol import problem_protocol
from kronos_service.lifecycle import Lifecycle
from kronos_service.settings import Effective, Settings
from kronos_service.telemetry import logs

_LAST_ANSWERS_SECONDS = 1.0
"""The longest wait for the answers to requests that were stopped."""

_LONGEST_STOP_SECONDS = 5.0
"""The longest time from the end of the drain, or a second signal, to the end of the process: more is a hang."""

_log = logs.get_logger("kronos.server")


async def serve(app: FastAPI, effective: Effective, main: Listener, scrape: Listener | None) -> int:
    """Serve the application until a signal stops it; returns the exit code.

    ``scrape`` is the listener of the scrape alone, if it has one. Raises AddressError before anything is served.
    """
    for listener in (main, scrape):
        if listener is not None:
            listener.listen()
    # Not before, because whoever starts the service is told on standard error that this is impossible.
    logs.take_streams()
    settings = effective.settings
    protocol = problem_protocol(settings.body_timeout_seconds, app.state.recorder.record)
    server = _Server(_configuration(app, protocol, settings.keep_alive_seconds))
    scrapes = scrape_server(app, settings)
    stop = _Stop(server, app.state.lifecycle, settings)
    loop = asyncio.get_running_loop()
    in_time = settings.drain_seconds + settings.shutdown_seconds
    signals.forward(
        lambda received: loop.call_soon_threadsafe(stop.on_signal, received),
        in_time + _LONGEST_STOP_SECONDS,
        _LONGEST_STOP_SECONDS,
    )
    addresses = dict(zip(("host", "port"), main.socket.getsockname(), strict=False))
    if scrape is not None:
        addresses |= dict(zip(("metrics_host", "metrics_port"), scrape.socket.getsockname(), strict=False))
    _log.info("starting", **addresses, version=__version__, settings=effective.as_dict())
    scraping = None if scrape is None else asyncio.create_task(scrapes.serve([scrape.socket]))
    await server.serve(sockets=[main.socket])
    if scraping is not None:
        # Last, so that what happened at the end of the service can still be scraped.
        scrapes.should_exit = True
        await scraping
    _log.info("stopped", exit_code=stop.exit_code)
    return stop.exit_code


def scrape_server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """The server of an address for the scrape alone. It leaves signals to others."""
    protocol = problem_protocol(settings.body_timeout_seconds, app.state.recorder.record)
    return _Server(_configuration(app.state.scrape, protocol, settings.keep_alive_seconds, lifespan="off"))


def _configuration(
    app: ASGIApp,
    protocol: type[asyncio.Protocol],
    keep_alive_seconds: float,
    lifespan: Literal["on", "off"] = "on",
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        # Who the caller is, http.access finds out: uvicorn would believe more than KRONOS_TRUSTED_PROXIES allows.
        proxy_headers=False,
        # An upgrade is answered like any request, in the one error format.
        ws="none",
        timeout_keep_alive=keep_alive_seconds,  # type: ignore[arg-type] # uvicorn takes fractions, too
        # Otherwise uvicorn reads a number of its own from the environment.
        workers=1,
        # By then everything has had its time; the second is for the last answers to leave.
        timeout_graceful_shutdown=1,
    )


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Stop:
    """The stop signals. To be used on the event loop."""

    def __init__(self, server: uvicorn.Server, lifecycle: Lifecycle, settings: Settings) -> None:
        self.exit_code = 0
        self._server = server
        self._lifecycle = lifecycle
        self._settings = settings
        self._draining: asyncio.Task[None] | None = None
        self._forced: asyncio.Task[None] | None = None

    def on_signal(self, received: signal.Signals) -> None:
        """The first signal drains, the second stops now."""
        name = received.name
        if self._draining is None:
            _log.info("draining", signal=name, seconds=self._settings.drain_seconds)
            self._lifecycle.drain()
            self._draining = asyncio.create_task(self._drain())
        elif self._forced is None:
            _log.warning("stopping now", signal=name, running=self._lifecycle.running)
            self.exit_code = 128 + received
            self._draining.cancel()
            self._forced = asyncio.create_task(self._force())

    async def _drain(self) -> None:
        lifecycle, seconds = self._lifecycle, self._settings.shutdown_seconds
        await asyncio.sleep(self._settings.drain_seconds)
        lifecycle.refuse()
        _log.info("finishing", running=lifecycle.running, seconds=seconds)
        if not await lifecycle.idle(seconds):
            _log.warning("stopping what is not done", running=lifecycle.running)
            lifecycle.interrupt()
            await lifecycle.idle(_LAST_ANSWERS_SECONDS)
        # Only now: from here on there are no new connections, and so no probes and no scrapes.
        self._server.should_exit = True

    async def _force(self) -> None:
        self._lifecycle.interrupt()
        await self._lifecycle.idle(_LAST_ANSWERS_SECONDS)
        self._server.should_exit = True
