"""The command line: ``python -m kronos_service``, the only supported start.

It owns the stop signals and the HTTP server. The first SIGTERM or SIGINT drains: not ready at once, answering for
``KRONOS_DRAIN_SECONDS`` more, then finishing what is admitted. The second one stops now.

Exit codes: 0 after a drain, 1 if the address cannot be used, 2 for wrong settings or arguments, 128 + the signal's
number after a second signal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import structlog
import uvicorn
from starlette.types import ASGIApp

from kronos_mixin import __version__
from kronos_service import logs
from kronos_service.settings import Effective, Settings, SettingsError, read_settings

if TYPE_CHECKING:
    # At run time only where it is needed: it brings PyTorch, and seconds that --help need not wait for.
    from kronos_service.lifecycle import Lifecycle

EXIT_ADDRESS = 1
EXIT_SETTINGS = 2

_FORCED_ANSWER_SECONDS = 1.0
"""How long a forced stop waits at most for the stopped requests to be answered."""

_log = structlog.stdlib.get_logger("kronos.server")


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
    try:
        listener = _bind(settings)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        reason = error.strerror or str(error)
        return _fail(
            f"cannot listen on {where}: {reason}; stop what uses it, or set KRONOS_HOST and KRONOS_PORT", EXIT_ADDRESS
        )
    with listener:
        return asyncio.run(_serve(effective, listener))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kronos_service",
        description="The instrumented Kronos forecasting service.",
        epilog="Settings are KRONOS_* variables or lines of a .env file in the working folder; --check-config lists "
        "them.",
    )
    parser.add_argument("--version", action="version", version=f"kronos_service {__version__}")
    parser.add_argument(
        "--check-config", action="store_true", help="print the effective settings and where each is from, and exit"
    )
    return parser


def _fail(message: str, code: int) -> int:
    print(f"kronos_service: {message}", file=sys.stderr)  # noqa: T201 - before the logs, for whoever started it
    return code


def _bind(settings: Settings) -> socket.socket:
    """A socket on the address, not listening yet: who connects before the service answers is refused."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Else a restart would have to wait until the old connections have timed out.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


async def _serve(effective: Effective, listener: socket.socket) -> int:
    from kronos_service.app import create_app

    settings = effective.settings
    app = create_app(settings)
    server = _Server(_configuration(app, settings))
    stop = _Stop(server, app.state.lifecycle, settings.drain_seconds)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.on_signal, number)
    host, port = listener.getsockname()[:2]
    _log.info("starting", host=host, port=port, version=__version__, settings=effective.as_dict())
    await server.serve(sockets=[listener])
    _log.info("stopped", code=stop.exit_code)
    return stop.exit_code


def _configuration(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    from kronos_service.protocol import ProblemProtocol

    return uvicorn.Config(
        app,
        http=ProblemProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who called is who holds the socket: a header could say anything.
        proxy_headers=False,
        # An upgrade is answered like any request, in the one error format.
        ws="none",
        # Nothing admitted lasts longer than the time limit; the second is for its answer to leave.
        timeout_graceful_shutdown=int(settings.time_limit_seconds) + 1,
    )


class _Server(uvicorn.Server):
    """uvicorn, without its own signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Stop:
    """What the stop signals do. Lives on the event loop."""

    def __init__(self, server: uvicorn.Server, lifecycle: Lifecycle, drain_seconds: float) -> None:
        self.exit_code = 0
        self._server = server
        self._lifecycle = lifecycle
        self._drain_seconds = drain_seconds
        self._forced: asyncio.Task[None] | None = None

    def on_signal(self, number: int) -> None:
        """The first signal drains, the second stops now."""
        if not self._lifecycle.draining:
            _log.info("draining", signal=signal.Signals(number).name, seconds=self._drain_seconds)
            self._lifecycle.drain()
            asyncio.get_running_loop().call_later(self._drain_seconds, self._finish)
        elif self._forced is None:
            _log.warning("stopping now", signal=signal.Signals(number).name)
            self.exit_code = 128 + number
            self._forced = asyncio.create_task(self._force())

    def _finish(self) -> None:
        self._lifecycle.refuse()
        self._server.should_exit = True

    async def _force(self) -> None:
        self._finish()
        # In a thread, because it waits for the model's running step; a daemon, because nobody waits for that.
        threading.Thread(target=self._lifecycle.stop, name="kronos-stop", daemon=True).start()
        await asyncio.sleep(_FORCED_ANSWER_SECONDS)
        self._server.force_exit = True


if __name__ == "__main__":
    sys.exit(main())
