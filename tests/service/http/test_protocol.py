"""What the server does by itself with a client who does not take its answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from kronos_service.http.protocol import problem_protocol

ANSWER_BYTES = 32 << 20  # more than the kernel buffers for both ends
STALLED_SECONDS = 1.0


async def _large(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application with one large answer."""
    length = str(ANSWER_BYTES).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": bytes(ANSWER_BYTES)})


@pytest.fixture
def client() -> Iterator[socket.socket]:
    """A connection to the real server on which a large answer was asked for."""
    protocol = problem_protocol(60, lambda _exchange: None, STALLED_SECONDS)
    server = uvicorn.Server(uvicorn.Config(_large, http=protocol, lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=30) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: kronos\r\n\r\n")
                yield client
        finally:
            server.should_exit = True
            thread.join()


def _read(client: socket.socket, pause: float) -> int:
    """Read to the end, with a pause after each half megabyte; returns how many bytes came."""
    count = 0
    try:
        while count < ANSWER_BYTES:
            piece = client.recv(1 << 19, socket.MSG_WAITALL)
            if not piece:
                break
            count += len(piece)
            time.sleep(pause)
    except ConnectionResetError:
        pass
    return count


def test_a_client_who_takes_nothing_of_its_answer_is_cut_off(client: socket.socket):
    time.sleep(3 * STALLED_SECONDS)
    assert _read(client, pause=0) < ANSWER_BYTES


def test_a_slow_client_gets_its_whole_answer(client: socket.socket):
    started = time.monotonic()
    assert _read(client, pause=0.05) >= ANSWER_BYTES
    assert time.monotonic() - started > 2 * STALLED_SECONDS  # longer than one who takes nothing has
