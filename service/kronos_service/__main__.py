"""The command line: ``python -m kronos_service``, the only supported start.

It owns the stop signals and the HTTP servers. The first SIGTERM or SIGINT drains: not ready at once, answering for
``KRONOS_DRAIN_SECONDS`` more, then finishing what is admitted for up to ``KRONOS_SHUTDOWN_SECONDS``, then stopping
the rest. Probes and scrapes are answered to the end. The second signal stops now.

Exit codes: 0 after a drain, 1 if an address cannot be used, 2 for wrong settings or arguments, 128 + the signal's
number after a second signal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import uvicorn
from starlette.types import ASGIApp

from kronos_mixin import __version__
from kronos_service.settings import PREFIX, Effective, Settings, SettingsError, read_settings
from kronos_service.telemetry import logs

if TYPE_CHECKING:
    # At run time only where it is needed: it brings PyTorch, and seconds that --help need not wait for.
    from kronos_service.lifecycle import Lifecycle

EXIT_ADDRESS = 1
EXIT_SETTINGS = 2

_LAST_ANSWERS_SECONDS = 1.0
"""How long a stop waits at most for the stopped requests to be answered."""

_KEEP_ALIVE_SECONDS = 30
"""How long an unused connection stays open: longer than the clients of Prometheus and httpx keep theirs, so that
none of them sends into a connection that is being closed."""

_SWITCH_SECONDS = 0.001
"""How long a busy thread may keep the interpreter lock while the event loop wants it; Python's own default is five
times that."""

_log = logs.get_logger("kronos.server")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service until a signal stops it; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        effective = read_settings()
    except SettingsError as error:
        return _fail(str(error), EXIT_SETTINGS)
    if options.check_config:
        for line in (*effective.lines(), *(f"warning: {text}" for text in effective.warnings)):
            print(line)  # noqa: T201 - this is the command's output
        return 0
    settings = effective.settings
    logs.configure(settings.log_level, settings.log_format)
    for warning in effective.warnings:
        _log.warning("settings", warning=warning)
    sys.setswitchinterval(_SWITCH_SECONDS)
    with contextlib.ExitStack() as listeners:
        try:
            main_listener = listeners.enter_context(_bind("KRONOS", settings.host, settings.port))
            scrape_listener = None
            if settings.metrics_port is not None:
                host = settings.metrics_host or settings.host
                scrape_listener = listeners.enter_context(_bind("KRONOS_METRICS", host, settings.metrics_port))
        except OSError as error:
            return _fail(str(error), EXIT_ADDRESS)
        code = asyncio.run(_serve(effective, main_listener, scrape_listener))
    _leave(code)
    return code


def _leave(code: int) -> None:
    """End the process at once if PyTorch is still at work: a thread of it cannot be stopped, and would crash."""
    if any(thread.name.startswith("kronos-") for thread in threading.enumerate()):
        os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kronos_service",
        description="The instrumented Kronos forecasting service.",
        epilog="\n".join(_settings_help()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"kronos_service {__version__}")
    parser.add_argument(
        "--check-config", action="store_true", help="print the effective settings and where each is from, and exit"
    )
    return parser


def _settings_help() -> Iterator[str]:
    """Every setting with its default and what it does."""
    yield "settings, as environment variables or lines of a .env file in the working folder:"
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"={field.default}"
        yield f"  {PREFIX}{name.upper()}{default}"
        yield from textwrap.wrap(field.description or "", 100, initial_indent="      ", subsequent_indent="      ")


def _fail(message: str, code: int) -> int:
    print(f"kronos_service: {message}", file=sys.stderr)  # noqa: T201 - before the logs, for whoever started it
    return code


def _bind(prefix: str, host: str, port: int) -> socket.socket:
    """A socket on the address, not listening yet: who connects before the service answers is refused.

    Raises OSError with a text for the operator; ``prefix`` is that of the variables that say the address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            # Else a restart would have to wait until the old connections have timed out.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"cannot listen on {host}:{port}: {reason}; stop what uses it, or set {prefix}_HOST and {prefix}_PORT"
        ) from None
    return listener


async def _serve(effective: Effective, listener: socket.socket, scrape_listener: socket.socket | None) -> int:
    from kronos_service.app import create_app
    from kronos_service.http.protocol import problem_protocol

    settings = effective.settings
    app = create_app(settings)
    protocol = problem_protocol(settings.body_timeout_seconds, app.state.recorder.record)
    server = _Server(_configuration(app, protocol))
    scrapes = _Server(_configuration(app.state.scrape, protocol, lifespan="off"))
    stop = _Stop(server, app.state.lifecycle, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.on_signal, number)
    addresses = dict(zip(("host", "port"), listener.getsockname(), strict=False))
    if scrape_listener is not None:
        addresses |= dict(zip(("metrics_host", "metrics_port"), scrape_listener.getsockname(), strict=False))
    _log.info("starting", **addresses, version=__version__, settings=effective.as_dict())
    scraping = None if scrape_listener is None else asyncio.create_task(scrapes.serve([scrape_listener]))
    await server.serve(sockets=[listener])
    if scraping is not None:
        # The last to go: what the end of the service did can still be scraped.
        scrapes.should_exit = True
        await scraping
    _log.info("stopped", exit_code=stop.exit_code)
    return stop.exit_code


def _configuration(
    app: ASGIApp, protocol: type[asyncio.Protocol], lifespan: Literal["on", "off"] = "on"
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        # Who called is who holds the socket: a header could say anything.
        proxy_headers=False,
        # An upgrade is answered like any request, in the one error format.
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        # When it comes to that everything has had its time already; the second is for the last answers to leave.
        timeout_graceful_shutdown=1,
    )


class _Server(uvicorn.Server):
    """uvicorn, without its own signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Stop:
    """What the stop signals do. Lives on the event loop."""

    def __init__(self, server: uvicorn.Server, lifecycle: Lifecycle, settings: Settings) -> None:
        self.exit_code = 0
        self._server = server
        self._lifecycle = lifecycle
        self._settings = settings
        self._draining: asyncio.Task[None] | None = None
        self._forced: asyncio.Task[None] | None = None

    def on_signal(self, number: int) -> None:
        """The first signal drains, the second stops now."""
        name = signal.Signals(number).name
        if self._draining is None:
            _log.info("draining", signal=name, seconds=self._settings.drain_seconds)
            self._lifecycle.drain()
            self._draining = asyncio.create_task(self._drain())
        elif self._forced is None:
            _log.warning("stopping now", signal=name, running=self._lifecycle.running)
            self.exit_code = 128 + number
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


if __name__ == "__main__":
    sys.exit(main())
