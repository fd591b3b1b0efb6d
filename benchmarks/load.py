"""A load generator, cheap enough to run on the machine that it measures: raw HTTP/1.1 over kept-alive connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


def request(
    method: str, path: str, body: bytes = b"", *, port: int, headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """Encode one request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + _HEAD_END + body


async def send_all(port: int, make: Callable[[int], bytes], count: int, connections: int) -> Counter[int]:
    """Send `make(0)` to `make(count - 1)`, one at a time per connection; returns the count of each status code."""
    codes: Counter[int] = Counter()
    numbers = iter(range(count))

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            code, keep = await exchange(reader, writer, make(number))
            codes[code] += 1
            if not keep:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    await asyncio.gather(*(worker() for _ in range(connections)))
    return codes


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> tuple[int, bool]:
    """Send one request; returns the status code, and whether the connection stays open."""
    writer.write(sent)
    head = await reader.readuntil(_HEAD_END)
    code = int(head[9:12])
    lower = head.lower()
    at = lower.find(_LENGTH)
    # An answer to HEAD has a length, but no body.
    if at >= 0 and not sent.startswith(b"HEAD "):
        length = int(lower[at + len(_LENGTH) : lower.index(b"\r\n", at + 2)])
        await reader.readexactly(length)
    return code, b"\r\nconnection: close" not in lower
