"""The sockets that the service listens on, and what to do when it cannot have one."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Self

_BACKLOG = 2048


class AddressError(Exception):
    """An address cannot be used; the text says which, why, and which setting to change."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket, and the settings it comes from: ``prefix`` is that of their variables, such as ``KRONOS``."""

    prefix: str
    host: str
    port: int
    socket: socket.socket

    @classmethod
    def bind(cls, prefix: str, host: str, port: int) -> Self:
        """Take the address without listening yet: until the service can answer, connections are refused.

        Raises AddressError.
        """
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            bound = socket.socket(family, kind, protocol)
            try:
                # Otherwise a restart would have to wait until the old connections have timed out.
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind(address)
            except OSError:
                bound.close()
                raise
        # UnicodeError: what cannot be a host name.
        except (OSError, UnicodeError) as error:
            raise AddressError(explain(error, prefix, host, port)) from None
        return cls(prefix, host, port, bound)

    def listen(self) -> None:
        """Raises AddressError: two sockets can be bound to one address, but only the first of them can listen."""
        try:
            self.socket.listen(_BACKLOG)
        except OSError as error:
            raise AddressError(explain(error, self.prefix, self.host, self.port)) from None


def explain(error: OSError | UnicodeError, prefix: str, host: str, port: int) -> str:
    """One sentence for whoever starts the service."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot listen on {place}: {reason}; {_advice(error, prefix)}"


def _advice(error: OSError | UnicodeError, prefix: str) -> str:
    if isinstance(error, UnicodeError | socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"set {prefix}_HOST to an address of this machine, or to 0.0.0.0 for all of its IPv4 addresses"
    if error.errno == errno.EADDRINUSE:
        return f"stop what uses it, or set {prefix}_PORT to a free port"
    if error.errno == errno.EACCES:
        return f"low ports are for root: set {prefix}_PORT to a port from 1024 on"
    return f"set {prefix}_HOST and {prefix}_PORT to an address that can be used"
