"""What the server does with a client who does not take its answer."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from kronos_service.app import create_app
from kronos_service.http.protocol import STALLED_BYTES, problem_protocol
from tests.service.server import SINGLE, wait_until

ANSWER_BYTES = 32 << 20  # more than the kernel buffers for both ends
STALLED_SECONDS = 60.0


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock is set by the test: nothing depends on how busy the machine is."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let so much time pass, and all that is due then happen. For other threads."""
        asyncio.run_coroutine_threadsafe(self._advance(seconds), self).result()

    async def _advance(self, seconds: float) -> None:
        self.move(seconds)
        for _ in range(2):
            await asyncio.sleep(0)

    def move(self, seconds: float) -> None:
        self.now += seconds


async def _large(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application with one large answer."""
    length = str(ANSWER_BYTES).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": bytes(ANSWER_BYTES)})


@dataclass
class Download:
    """A connection to the real server, on which the large answer was asked for."""

    loop: Loop
    server: uvicorn.Server
    client: socket.socket

    def waiting(self) -> int:
        """Bytes of the answer that the server could not send yet; -1 once it has given up the connection."""
        connections = list(self.server.server_state.connections)
        return connections[0].transport.get_write_buffer_size() if connections else -1

    def read(self, count: int) -> int:
        """Read so many bytes, or to the end; returns how many there were."""
        left = count
        with suppress(ConnectionResetError):
            while left and (piece := self.client.recv(left)):
                left -= len(piece)
        return count - left


@pytest.fixture
def download() -> Iterator[Download]:
    with serving(_large) as running:
        wait_until(lambda: running.waiting() > 0)
        yield running


@contextmanager
def serving(app: ASGIApp) -> Iterator[Download]:
    protocol = problem_protocol(10 * STALLED_SECONDS, lambda _exchange: None, STALLED_SECONDS)
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, timeout_keep_alive=10**9)
    server, loop = uvicorn.Server(config), Loop()

    def serve(listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(server.serve([listener]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=60) as client:
                client.sendall(f"GET {SINGLE} HTTP/1.1\r\nHost: kronos\r\n\r\n".encode())
                yield Download(loop, server, client)
        finally:
            server.should_exit = True
            while thread.is_alive():  # uvicorn sleeps now and then while it stops
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(loop.move, 1)
                thread.join(0.01)


def test_a_client_who_takes_nothing_of_its_answer_is_cut_off(download: Download):
    def cut_off() -> bool:
        download.loop.advance(STALLED_SECONDS)
        return download.waiting() == -1

    # Not always in the first window: the kernel may still be filling its buffers.
    wait_until(cut_off)
    assert download.read(ANSWER_BYTES) < ANSWER_BYTES


def test_a_slow_client_gets_its_whole_answer(download: Download):
    taken = 0
    while (waiting := download.waiting()) > STALLED_BYTES:
        # Just enough in each window, once the kernel's buffers have passed it on.
        while download.waiting() > waiting - STALLED_BYTES:
            taken += download.read(4096)
        download.loop.advance(STALLED_SECONDS)
    assert taken + download.read(ANSWER_BYTES - taken) == ANSWER_BYTES


@pytest.mark.parametrize("takes_all", [True, False])
def test_an_answer_counts_as_sent_once_it_was_taken(takes_all: bool):
    registry = CollectorRegistry()
    app = create_app(registry=registry)
    app.router.routes.insert(0, Mount("", _large))

    def counted(status: str) -> float | None:
        return registry.get_sample_value("kronos_requests_total", {"route": SINGLE, "status": status})

    with serving(app) as download:
        wait_until(lambda: download.waiting() > 0)
        assert counted("success") == 0, "it is still being sent"
        assert registry.get_sample_value("kronos_concurrent_requests", {"route": SINGLE}) == 1
        if takes_all:
            download.read(ANSWER_BYTES)
        download.client.close()
        wait_until(lambda: counted("success") == takes_all and counted("cancelled") == (not takes_all))
    sent = registry.get_sample_value("kronos_response_size_bytes_sum", {"route": SINGLE})
    assert sent == (ANSWER_BYTES if takes_all else 0)
