"""Serves the instances of a drill to the user's Prometheus: their metrics, and which of them there are."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kronos_mixin.contract import load_contract
from kronos_mixin.drill.environment import LABEL, Environment
from kronos_mixin.drill.faults import Fault
from kronos_mixin.drill.kronos import Instance


@dataclass
class Cast:
    """The instances of each fault, and what has been asked of them."""

    environment: Environment
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels for every target: those that real ones have, and alerts are routed by."""
    discovered: int = 0
    """How often service discovery has asked which targets there are."""

    def __post_init__(self) -> None:
        contract = load_contract()
        self.instances = {
            fault.name: [
                Instance(contract, f"{LABEL}-{place + 1}", behaviour) for place, behaviour in enumerate(fault.well)
            ]
            for fault in self.environment.faults
        }

    def make_ill(self, fault: Fault) -> None:
        """Let a fault begin."""
        for instance, behaviour in zip(self.instances[fault.name], fault.ill, strict=True):
            instance.behave(behaviour)

    def make_well(self, fault: Fault) -> None:
        """Mend a fault."""
        for instance, behaviour in zip(self.instances[fault.name], fault.well, strict=True):
            instance.behave(behaviour)

    def targets(self, address: str) -> list[dict[str, Any]]:
        """What service discovery answers: every instance that is listed, all of them at one address."""
        self.discovered += 1
        return [
            {
                "targets": [address],
                "labels": {
                    **self.labels,
                    LABEL: "true",
                    "job": self.environment.job_of(fault),
                    "instance": instance.name,
                    "__metrics_path__": f"/{fault.name}/{place}",
                },
            }
            for fault in self.environment.faults
            for place, instance in enumerate(self.instances[fault.name])
            if instance.behaviour.listed
        ]

    def at(self, path: str) -> Instance | None:
        """The instance whose metrics are at a path."""
        name, _, place = path.strip("/").partition("/")
        there = self.instances.get(name, [])
        return there[int(place)] if place.isdecimal() and int(place) < len(there) else None


DISCOVERY = "/targets"
"""The path that answers with the targets."""


@contextlib.contextmanager
def serving(listen: tuple[str, int]) -> Iterator[Stage]:
    """Listen at a host and a port (0: any) for as long as the block lasts. Raises OSError."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            path = urllib.parse.urlsplit(self.path).path
            cast = stage.cast
            instance = cast.at(path) if cast else None
            if cast is not None and path == DISCOVERY:
                self._answer(200, "application/json", json.dumps(cast.targets(stage.address)))
            elif instance is not None and instance.behaviour.up:
                self._answer(200, "text/plain; version=0.0.4; charset=utf-8", instance.scrape())
            elif instance is not None:
                self._answer(503, "text/plain", "down, as part of a drill\n")
            else:
                self._answer(404, "text/plain", "a drill of kronos-mixin: there is nothing here\n")

        def _answer(self, status: int, kind: str, text: str) -> None:
            body = text.encode()
            with contextlib.suppress(ConnectionError):  # Prometheus waits as long as its timeout.
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET

        def handle_error(self, *_: object) -> None:
            """A caller that went away is nothing to print."""

    with Server(listen, Handler) as server:
        stage = Stage(server.server_port)
        thread = threading.Thread(target=server.serve_forever, name="drill", daemon=True)
        thread.start()
        try:
            yield stage
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Stage:
    """A server that is up, and who plays on it."""

    port: int
    address: str = ""
    """Host and port by which Prometheus reaches it."""
    cast: Cast | None = None


def own_host(server: str) -> str:
    """The address of this machine that the host of a URL most likely reaches it by: that on the way there."""
    parts = urllib.parse.urlsplit(server)
    host, port = parts.hostname or "localhost", parts.port or 80
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as way:
            way.connect(address)  # Nothing is sent.
            return str(way.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def split_address(address: str) -> tuple[str, int | None]:
    """The host of an address, in brackets if it is one of IPv6, and the port; None if there is none."""
    host, colon, port = address.rpartition(":")
    return (host, int(port)) if colon and port.isdecimal() and (":" not in host or "]" in host) else (address, None)
