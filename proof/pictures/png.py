"""PNG files with a palette: a picture of a dashboard at half the size, for a repository that keeps pictures."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_COLOURS = 256


def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG of pixels of the shape (height, width, 3), with the 256 colours that come nearest to them."""
    height, width, _ = pixels.shape
    palette, indices = _quantise(pixels.reshape(-1, 3))
    # Each line starts with its filter: none, the best for indices.
    lines = np.zeros((height, width + 1), dtype=np.uint8)
    lines[:, 1:] = indices.reshape(height, width)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _quantise(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A palette, and each pixel's place in it."""
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    colours, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
    known = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.int64)
    chosen = _spread(known, counts)
    distances = ((known[:, None, :] - known[chosen][None, :, :]) ** 2).sum(axis=2)
    nearest = distances.argmin(axis=1).astype(np.uint8)
    return known[chosen].astype(np.uint8), nearest[places]


def _spread(known: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Places of at most 256 colours: each the one that is missed most, by how often it occurs and how far off."""
    chosen = [int(counts.argmax())]
    off = ((known - known[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(_COLOURS, len(known)):
        # The root: or the many pixels of the edges of letters would take all colours from a thin line.
        chosen.append(int((off * np.sqrt(counts)).argmax()))
        off = np.minimum(off, ((known - known[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
