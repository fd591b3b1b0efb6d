"""The real service as a process on a loopback port, for as long as a `with` block."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from proof.servers.process import Process, free_port


class Service:
    """`python -m kronos_service` and its address, as a context manager.

    `settings` are KRONOS_ variables without the prefix, in lower case: {"queue_capacity": 4}. Those of our own
    environment are not handed on. `port` is the one to listen on (None: a free one). `timeout` is how many seconds
    the model may take to load. `ready` is whether entering waits for that; a model that is to fail never gets ready.
    `program` is what Python runs, `log` where its log goes (None: a file in its folder). Entering raises
    ProcessError, with the service's last lines, when the service does not get as far.
    """

    def __init__(
        self,
        settings: Mapping[str, object] | None = None,
        *,
        port: int | None = None,
        timeout: float = 120,
        ready: bool = True,
        program: Sequence[str] = ("-m", "kronos_service"),
        log: Path | None = None,
    ) -> None:
        self.ready = ready
        self._program = program
        self._log = log
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.timeout = timeout
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KRONOS_")}
        given = {"host": "127.0.0.1", "port": self.port} | dict(settings or {})
        self._environment = inherited | {f"KRONOS_{name.upper()}": str(value) for name, value in given.items()}
        self._work: tempfile.TemporaryDirectory[str] | None = None
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The process that runs, for its id, its log and its end."""
        if self._process is None:
            raise RuntimeError("The service has not been started: use it in a `with` statement.")
        return self._process

    def __enter__(self) -> Self:
        # Its own folder, so that a .env file in ours does not change it.
        self._work = tempfile.TemporaryDirectory(prefix="kronos-service-")
        folder = Path(self._work.name)
        self._process = Process(
            [sys.executable, *self._program],
            env=self._environment,
            cwd=folder,
            log=self._log or folder / "service.log",
            name="The Kronos service",
        )
        try:
            self._process.start()
            self._process.wait_http(f"{self.url}/v1/{'readyz' if self.ready else 'healthz'}", timeout=self.timeout)
        except BaseException:  # Ctrl-C too: __exit__ is not called when entering fails.
            self._end()
            raise
        return self

    def stop(self) -> None:
        """Stop the service; `restart` starts it again."""
        self.process.stop(timeout=30)

    def restart(self) -> None:
        """Stop the service if it runs, start it again, and wait until it is ready. Raises ProcessError."""
        self.stop()
        self.process.start()
        self.process.wait_http(f"{self.url}/v1/readyz", timeout=self.timeout)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.stop(timeout=30)
        if self._work is not None:
            self._work.cleanup()
