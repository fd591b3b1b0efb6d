"""The protocol of Prometheus' remote write, version 1: enough to give a server a past."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def samples(times: Sequence[float], values: Sequence[float]) -> bytes:
    """The samples of a series, at times in Unix seconds; many series may share them."""
    return b"".join(
        _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _number(round(time * 1000)))
        for time, value in zip(times, values, strict=True)
    )


def body(series: Iterable[tuple[Mapping[str, str], bytes]]) -> bytes:
    """The body of a request: each series by its labels, with `__name__`, and its samples."""
    return _stored(b"".join(_field(1, _labels(labels) + of_it) for labels, of_it in series))


def _labels(labels: Mapping[str, str]) -> bytes:
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels.items())
    )


def _field(number: int, content: bytes) -> bytes:
    """A field of a message that has a length: a text or another message."""
    return bytes([number << 3 | 2]) + _number(len(content)) + content


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _stored(content: bytes) -> bytes:
    """Snappy, without compression: a single literal, whose length takes four bytes."""
    return _number(len(content)) + b"\xfc" + struct.pack("<I", len(content) - 1) + content
