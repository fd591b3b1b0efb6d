"""Access: clients with an API key, and callers in an allowed network.

Addresses are those of connections. Only a trusted proxy can name another one.

Keys come from a setting, or from a file that is read again while the service runs.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
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
"""Pause between two reads of the key file."""

_WITH_PORT = re.compile(r"(\d+\.\d+\.\d+\.\d+)(?::\d+)?|\[([0-9A-Fa-f:.]+)\](?::\d+)?")

_log = logs.get_logger("kronos.access")


class Access:
    """Identifies the client of a request. Without keys and networks in the settings, everybody may call."""

    def __init__(self, settings: Settings) -> None:
        keys = read_api_keys(settings)
        self._keys = None if keys is None else ApiKeys(keys)
        self._networks = None if settings.allowed_networks is None else parse_networks(settings.allowed_networks)

    def client(self, headers: Headers, address: str) -> str:
        """The name of the client, or ``anonymous`` if it needs no key; raises a Problem if it may not call.

        In an allowed network no key is needed, but a key that is sent must be valid: callers should notice when
        theirs has expired.
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
        """Use ``keys``, client name to key, from now on."""
        self._keys = ApiKeys(keys)


class ApiKeys:
    """API keys, by client name."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._digests = {name: _digest(key) for name, key in keys.items()}

    def find(self, given: str) -> str | None:
        """The name of the client with this key."""
        digest = _digest(given)
        # All keys, in constant time, by digests of equal length: the time taken reveals nothing about any of them.
        names = [name for name, known in self._digests.items() if hmac.compare_digest(known, digest)]
        return names[0] if names else None


class KeyFile:
    """Watches the key file by its content, since it can be replaced in many ways. ``use`` is called with new keys."""

    def __init__(self, path: Path, use: Callable[[Mapping[str, str]], None]) -> None:
        self._path = path
        self._use = use
        self._keys: Mapping[str, str] | None = None
        self._failure: str | None = None

    async def watch_forever(self) -> None:
        """Read the file every ``KEY_FILE_SECONDS`` until cancelled."""
        while True:
            # In a thread, because a network volume can be slow.
            await asyncio.to_thread(self.read)
            await asyncio.sleep(KEY_FILE_SECONDS)

    def read(self) -> None:
        """Read the file once. If it is broken or gone, the old keys stay, and the reason is logged once."""
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
    """Compare in constant time."""
    return hmac.compare_digest(_digest(known), _digest(given))


def client_address(scope: Scope, trusted: Sequence[Network] = ()) -> str:
    """The peer of the connection or, if that is a trusted proxy, whom it has forwarded for.

    Each proxy appends the address of its own peer to X-Forwarded-For, so the header is believed from its end up to
    the first address that is not trusted. What is before that, the caller has written.
    """
    client = scope.get("client")
    if not client:
        return "unknown"
    address = written(client[0]) or str(client[0])
    if trusted and _is_in(address, trusted):
        for hop in reversed(",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")):
            known = written(hop.strip())
            if known is None:
                break
            address = known
            if not _is_in(address, trusted):
                break
    return address


# Parsing an address takes longer than counting a request, and most requests come from few addresses.
@functools.lru_cache(maxsize=1024)
def written(host: str) -> str | None:
    """An address in its canonical form, without a port; None if it is none."""
    match = _WITH_PORT.fullmatch(host)
    try:
        address = ip_address(next(filter(None, match.groups())) if match else host)
    except ValueError:
        return None
    # An IPv6 socket shows IPv4 peers like this.
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


@functools.lru_cache(maxsize=1024)
def caller_of(address: str) -> str:
    """Who the limits apply to: an IPv4 address, or the /64 network of an IPv6 address, which one caller owns."""
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
