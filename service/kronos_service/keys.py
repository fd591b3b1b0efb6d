"""Parsing of who may call: API keys, networks and origins. No error message contains a key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

MAX_CLIENTS = 16
"""Limit on named clients: each name is a label value of kronos_rate_limited_total."""

RESERVED_CLIENTS = frozenset({"anonymous", "other"})
MAX_KEY_FILE_BYTES = 65_536
WEAK_KEY_LENGTH = 16
"""Shorter keys, in characters, get a warning."""

_CLIENT_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[!-+\--~]{1,256}")  # printable ASCII without spaces and commas

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")

Network = IPv4Network | IPv6Network


def parse_api_keys(text: str) -> dict[str, str]:
    """Client name to key, from text like ``name:key,name2:key2``; raises ValueError."""
    return _parse((f"entry {number}", entry) for number, entry in enumerate(text.split(","), start=1))


def read_key_file(path: Path) -> dict[str, str]:
    """Client name to key, from a file with ``name:key`` lines; empty lines and comments (#) are skipped.

    Raises ValueError if the file cannot be read, has a malformed line, or has no key.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    if len(content) > MAX_KEY_FILE_BYTES:
        raise ValueError(f"{path} has more than {MAX_KEY_FILE_BYTES} bytes")
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    entries = [
        (f"{path}, line {number}", line)
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not entries:
        raise ValueError(f"{path} has no name:key line")
    return _parse(entries)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks, from text like ``10.0.0.0/8,fd00::/8``; a single address is one too. Raises ValueError."""
    networks = []
    for number, entry in enumerate(text.split(","), start=1):
        try:
            networks.append(ip_network(entry.strip()))
        except ValueError as error:
            raise ValueError(f"entry {number}: {error}; write <address>/<bits>") from None
    return tuple(networks)


def parse_origins(text: str) -> tuple[str, ...]:
    """Origins of web pages, from text like ``https://desk.example.com,http://localhost:3000``, or ``*`` for all.

    Raises ValueError.
    """
    origins = tuple(entry.strip() for entry in text.split(","))
    for number, origin in enumerate(origins, start=1):
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"entry {number} is not an origin: write <scheme>://<host>, and :<port> if it has one")
    return origins


def weak_keys(keys: Mapping[str, str]) -> list[str]:
    """A warning for each key that is short enough to guess."""
    return [
        f"the key of client {name} is shorter than {WEAK_KEY_LENGTH} characters: make a longer one"
        for name, key in keys.items()
        if len(key) < WEAK_KEY_LENGTH
    ]


def _parse(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    keys: dict[str, str] = {}
    for where, entry in entries:
        name, colon, key = entry.strip().partition(":")
        if not colon or not _CLIENT_NAME.fullmatch(name):
            raise ValueError(f"{where} is not name:key with a name of letters, digits and ._- (at most 64)")
        if name in RESERVED_CLIENTS:
            raise ValueError(f"{where}: the name {name} is reserved: choose another")
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"{where} ({name}): a key is 1 to 256 printable ASCII characters without spaces and commas"
            )
        if name in keys:
            raise ValueError(f"{where}: the name {name} appears twice")
        if key in keys.values():
            raise ValueError(f"{where} ({name}): another client has the same key")
        keys[name] = key
    if len(keys) > MAX_CLIENTS:
        raise ValueError(
            f"has {len(keys)} clients, but at most {MAX_CLIENTS} are allowed: each is a label value in the metrics"
        )
    return keys
