"""Who may call: clients with a key, and whoever is in an allowed network. Never by what a header claims.

Keys come from a setting, or from a file that is read again and again while the service runs.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Scope

from kronos_service.api.errors import Kinds, Problem
from kronos_service.keys import Network, parse_networks, read_key_file
from kronos_service.settings import Settings, read_api_keys
from kronos_service.telemetry import logs
from kronos_service.telemetry.exchange import ANONYMOUS

KEY_FILE_SECONDS = 1.0
"""How often the file with the keys is read."""

_log = logs.get_logger("kronos.access")


class Access:
    """Names the client of a request, or refuses it."""

    def __init__(self, settings: Settings) -> None:
        """Whom the settings let in; without keys and networks everybody."""
        keys = read_api_keys(settings)
        self._keys = None if keys is None else ApiKeys(keys)
        self._networks = None if settings.allowed_networks is None else parse_networks(settings.allowed_networks)

    def client(self, headers: Headers, address: str) -> str:
        """The name of the client, ``anonymous`` if it needs no key; else a Problem.

        In an allowed network no key is needed, but one that is sent must be right: a caller who sends an old one
        should hear of it.
        """
        allowed = self._networks is None or _is_in(address, self._networks)
        if self._keys is None:
            if not allowed:
                detail = (
                    f"{address} is not in an allowed network: call from one, or have KRONOS_ALLOWED_NETWORKS changed"
                )
                raise Problem(Kinds.forbidden, detail)
            return ANONYMOUS
        token = bearer_token(headers) or headers.get("x-api-key", "")
        if not token and allowed and self._networks is not None:
            return ANONYMOUS
        name = self._keys.find(token)
        if name is None:
            raise Problem(Kinds.unauthorized, Kinds.unauthorized.example, headers={"WWW-Authenticate": "Bearer"})
        return name

    def replace_keys(self, keys: Mapping[str, str]) -> None:
        """From now on these are the keys."""
        self._keys = ApiKeys(keys)


class ApiKeys:
    """Named clients and their keys."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """``keys``: client name to key."""
        self._digests = {name: _digest(key) for name, key in keys.items()}

    def find(self, given: str) -> str | None:
        """The name of the client with this key."""
        digest = _digest(given)
        # Every key is compared, in constant time, and by digests of one length: how long it takes says nothing
        # about any of them.
        names = [name for name, known in self._digests.items() if hmac.compare_digest(known, digest)]
        return names[0] if names else None


class KeyFile:
    """The file with the keys, watched: its content is what counts, however it was replaced."""

    def __init__(self, path: Path, use: Callable[[Mapping[str, str]], None]) -> None:
        """``use`` is told the keys each time they have changed."""
        self._path = path
        self._use = use
        self._keys: Mapping[str, str] | None = None
        self._failure: str | None = None

    async def watch_forever(self) -> None:
        """Read the file every ``KEY_FILE_SECONDS`` until cancelled."""
        while True:
            # In a thread, because a file of a network volume can take its time.
            await asyncio.to_thread(self.read)
            await asyncio.sleep(KEY_FILE_SECONDS)

    def read(self) -> None:
        """Read the file once. One that is broken or gone changes nothing; the log says so, once for each reason."""
        try:
            keys = read_key_file(self._path)
        except ValueError as error:
            if str(error) != self._failure:
                self._failure = str(error)
                _log.error("API keys not read, those before stay valid", reason=self._failure)
            return
        if self._failure is not None or (self._keys is not None and keys != self._keys):
            _log.info("API keys read", names=sorted(keys))
        self._failure = None
        if keys != self._keys:
            self._keys = keys
            self._use(keys)


def bearer_token(headers: Headers) -> str:
    """The token of ``Authorization: Bearer``; empty if there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def same_secret(known: str, given: str) -> bool:
    """Compare in a time that says nothing about the secret."""
    return hmac.compare_digest(_digest(known), _digest(given))


def client_address(scope: Scope) -> str:
    """Who holds the connection: never by a header, which the caller writes."""
    client = scope.get("client")
    return _written(client[0]) if client else "unknown"


# Parsing an address takes longer than all counting of a request, and most requests come from few of them.
@functools.lru_cache(maxsize=1024)
def _written(host: str) -> str:
    """An address in the one way that we write it."""
    try:
        address = ip_address(host)
    except ValueError:
        return str(host)
    # A socket that listens on IPv6 shows callers of IPv4 like this.
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


@functools.lru_cache(maxsize=1024)
def caller_of(address: str) -> str:
    """Whose limits apply to an address: its own, or of IPv6 the network of 64 bits that one caller usually owns."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    return str(known) if known.version == 4 else str(ip_network((known.packed, 64), strict=False))


def _is_in(address: str, networks: Iterable[Network]) -> bool:
    try:
        known = ip_address(address)
    except ValueError:
        return False
    return any(known in network for network in networks)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
