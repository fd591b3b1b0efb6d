"""An application of ours on a loopback port, in a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from proof.servers.process import ProcessError, free_port


@contextlib.contextmanager
def serving(name: str, routes: Sequence[Route]) -> Iterator[str]:
    """Answer by the routes meanwhile, at the address that is given. Raises ProcessError if it does not start."""
    port = free_port()
    app = Starlette(routes=list(routes))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, name=name, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise ProcessError(f"{name} did not start on port {port}")
            thread.join(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
