"""A real Prometheus on a loopback port, for as long as a `with` block."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from kronos_mixin.connect import AnswerError
from kronos_mixin.verify.api import Api, QueryError
from proof.servers.binaries import Tools
from proof.servers.process import Process, ProcessError, free_port

_ATTEMPTS = 5
_TAKEN = "address already in use"


class Prometheus(Api):
    """A Prometheus server and its API, as a context manager.

    `config` is a configuration file, or its content; relative paths in a content mean nothing useful,
    as it is written to a temporary file (`self.config`). `data` is where the database goes and stays
    (None: a temporary folder). `port` is the one to listen on (None: a free one). `flags` are further
    ones for the command line. `timeout` is how many seconds it may take to become ready.

    Entering raises ProcessError, with Prometheus's last lines, when it does not become ready.
    Use each object once. Debian's binaries outside their place serve the API, but no web pages.
    """

    def __init__(
        self,
        tools: Tools,
        config: Mapping[str, Any] | Path,
        *,
        data: Path | None = None,
        port: int | None = None,
        flags: Sequence[str] = (),
        timeout: float = 60,
    ) -> None:
        super().__init__("http://127.0.0.1")  # The rest is known when the port is.
        self.tools = tools
        self.flags = tuple(flags)
        self.timeout = timeout
        self._given = config
        self._data = data
        self._port = port
        self._work: Path | None = None
        self._process: Process | None = None

    @property
    def config(self) -> Path:
        """The configuration file that Prometheus reads."""
        return self._given if isinstance(self._given, Path) else self._folder / "prometheus.yml"

    @property
    def process(self) -> Process:
        """The process that runs, for its id, its log and its end."""
        if self._process is None:
            raise ProcessError("Prometheus has not been started: use it in a `with` statement.")
        return self._process

    def reload(self, config: Mapping[str, Any] | None = None) -> None:
        """Read the configuration and the rules again; with `config`, that one from now on.

        Raises ProcessError with Prometheus's reason when it refuses; it goes on with what it had.
        """
        if config is not None:
            if isinstance(self._given, Path):
                raise TypeError(f"The configuration is the file {self._given}: edit that, then reload().")
            self._given = config
            self._write()
        # Not SIGHUP: that has no answer.
        try:
            answer = self._client.post(f"{self.url}/-/reload")
        except AnswerError as error:
            raise ProcessError(f"Prometheus did not answer: {error}\n{self.process.tail()}") from error
        if not answer.is_success:
            raise ProcessError(f"Prometheus refused {self.config}: {answer.text.strip()}\n{self.process.tail(5)}")

    def __enter__(self) -> Self:
        self._work = Path(tempfile.mkdtemp(prefix="kronos-prometheus-"))
        try:
            self._write()
            self._start()
        except BaseException:  # Ctrl-C too: __exit__ is not called when entering fails.
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def _folder(self) -> Path:
        if self._work is None:
            raise ProcessError("Prometheus is not running: use it in a `with` statement.")
        return self._work

    def _write(self) -> None:
        if not isinstance(self._given, Path):
            self.config.write_text(yaml.safe_dump(dict(self._given), sort_keys=False), encoding="utf-8")

    def _start(self) -> None:
        """Start on the given port, or on free ones until one was still free when Prometheus came to it."""
        for last in (False,) * (_ATTEMPTS - 1) + (True,):
            port = self._port or free_port()
            self.url = f"http://127.0.0.1:{port}"
            self._process = Process(
                self._argv(port), log=self._folder / "prometheus.log", name=f"Prometheus {self.tools.version}"
            )
            self._process.start()
            try:
                self._process.wait_http(f"{self.url}/-/ready", timeout=self.timeout)
                self._check_own()
            except ProcessError as error:
                self._process.stop()
                if self._port is None and _TAKEN in str(error) and not last:
                    continue
                raise
            else:
                return

    def _argv(self, port: int) -> list[str | Path]:
        return [
            self.tools.prometheus.absolute(),
            f"--config.file={self.config.absolute()}",
            f"--storage.tsdb.path={self._database}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
            *self.flags,
        ]

    @property
    def _database(self) -> Path:
        return (self._data or self._folder / "data").absolute()

    def _check_own(self) -> None:
        """Raise ProcessError unless it is our Prometheus that answers, not one that had the port before."""
        try:
            path = self._get("status/flags").get("storage.tsdb.path")
        except QueryError as error:
            raise ProcessError(str(error)) from error
        if path != str(self._database):
            raise ProcessError(f"{self.url}: {_TAKEN}: another server answers there. Choose another port.")

    def _end(self) -> None:
        try:
            if self._process is not None:
                self._process.stop()
        finally:
            self.close()
            if self._work is not None:
                shutil.rmtree(self._work, ignore_errors=True)
