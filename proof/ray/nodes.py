"""Two nodes of a Ray cluster, each in a network namespace of its own, on this machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

from proof.servers.process import Process, ProcessError

HEAD, SECOND = "10.231.77.1", "10.231.77.2"
PROXY_PORT = 8000

_DASHBOARD_PORT = 8265
_CLONE_NEWNET = 0x40000000
_PATIENCE = 300.0
_OBJECT_STORE_BYTES = 100_000_000


class Nodes:
    """The cluster, as a context manager; entering takes a minute or so, and moves this process to the head's network.

    Ray listens on all interfaces: in the namespaces, nobody else is there. Needs root. Raises ProcessError.
    """

    def __init__(self) -> None:
        self._head, self._second = (f"kronos-{os.getpid()}-{name}" for name in ("head", "second"))
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if os.geteuid():
            raise ProcessError("This needs network namespaces: run it as root.")
        with contextlib.ExitStack() as stack:
            # Short, for the sockets that Ray puts there.
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kray-")))
            token = self.folder / "token"
            token.write_text(secrets.token_hex(32))
            self._token = token.read_text()
            self._environment = {
                name: value for name, value in os.environ.items() if not name.startswith(("KRONOS_", "RAY_"))
            } | {
                "HOME": str(self.folder),
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN_PATH": str(token),
                "RAY_USAGE_STATS_ENABLED": "0",
            }
            for name in (self._head, self._second):
                _ip(f"netns add {name}")
                stack.callback(_end_namespace, name)
            _ip(f"link add ray netns {self._head} type veth peer name ray netns {self._second}")
            for name, address in ((self._head, HEAD), (self._second, SECOND)):
                _ip(f"-n {name} addr add {address}/24 dev ray")
                for device in ("lo", "ray"):
                    _ip(f"-n {name} link set {device} up")
            _enter(self._head)
            self._api = stack.enter_context(
                httpx.Client(
                    base_url=f"http://{HEAD}:{_DASHBOARD_PORT}/api/serve/applications/",
                    headers={"Authorization": f"Bearer {self._token}"},
                    trust_env=False,
                    timeout=60,
                )
            )
            head = ("--head", "--port=6379", f"--dashboard-host={HEAD}", f"--temp-dir={self.folder}/head")
            self._start(stack, self._head, HEAD, lambda: self._api.get("").is_success, *head)
            self._start(stack, self._second, SECOND, self._second_has_joined, f"--address={HEAD}:6379")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def metrics_targets(self) -> Path:
        """The file in which the head tells Prometheus where Ray's own metrics are."""
        return self.folder / "head" / "prom_metrics_service_discovery.json"

    def deploy(self, config: Mapping[str, Any]) -> None:
        """Have Ray Serve work towards this configuration."""
        answer = self._api.put("", json=config)
        if not answer.is_success:
            raise ProcessError(f"Ray Serve refused the configuration: {answer.text}")

    def status(self, application: str = "kronos") -> dict[str, Any]:
        """What Ray Serve says of the application."""
        status: dict[str, Any] = self._api.get("").json()["applications"].get(application, {})
        return status

    def cut(self) -> None:
        """Pull the second node's cable."""
        _ip(f"-n {self._second} link set ray down")

    def is_head(self, address: str) -> bool:
        """Whether an address, host and port, is on the first node."""
        return address.startswith(f"{HEAD}:")

    def kill_listener(self, port: int) -> None:
        """Kill the process that listens on a port of the head, without a warning."""
        (pid,) = {
            one.pid
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid
        }
        os.kill(pid, signal.SIGKILL)

    def until(self, what: str, condition: Callable[[], object], needed: Process | None = None) -> None:
        """Wait for it, and for as long as a process runs that is needed for it. Raises ProcessError."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(httpx.HTTPError, KeyError, FileNotFoundError):
                if condition():
                    return
            if needed is not None:
                needed.check()
            if time.monotonic() > deadline:
                raise ProcessError(f"waited {_PATIENCE:g} s for {what}\n{self._status_text()}")
            time.sleep(0.3)

    def _second_has_joined(self) -> bool:
        return SECOND in self.metrics_targets.read_text()

    def _status_text(self) -> str:
        with contextlib.suppress(httpx.HTTPError, ValueError):
            status = self.status()
            return f"{status.get('status')}: {status.get('message')} {status.get('deployments')}"
        return "Ray does not answer"

    def _start(
        self,
        stack: contextlib.ExitStack,
        namespace: str,
        address: str,
        started: Callable[[], object],
        *options: str,
    ) -> None:
        argv = [
            *("ip", "netns", "exec", namespace, "ray", "start", "--block", "--disable-usage-stats", "--num-cpus=2"),
            f"--node-ip-address={address}",
            *(f"--object-store-memory={_OBJECT_STORE_BYTES}", *options),
        ]
        log = self.folder / f"{address}.log"
        process = Process(argv, env=self._environment, cwd=self.folder, log=log, name=f"Ray at {address}")
        stack.callback(process.stop)
        for last in (False, False, True):
            process.start()
            try:
                self.until(f"Ray at {address}", started, process)
            except ProcessError:
                # On a busy machine it takes longer than the 30 s that Ray gives itself.
                if last or process.running:
                    raise
                _kill_all_in(namespace)
            else:
                return


def _kill_all_in(namespace: str) -> None:
    for pid in _ip(f"netns pids {namespace}").split():
        if int(pid) != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _end_namespace(name: str) -> None:
    """Nothing of Ray outlives it: its own command stops the clusters of others, too, and forgets its proxies."""
    _kill_all_in(name)
    _ip(f"netns del {name}")


def _enter(name: str) -> None:
    """Move this thread, and all that it starts from now on, to a namespace."""
    with Path("/run/netns", name).open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {name}")


def _ip(command: str) -> str:
    return subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True).stdout
