from __future__ import annotations

import struct
import zlib

import numpy as np

from proof.pictures import png


def decoded(data: bytes) -> np.ndarray:
    """The pixels of a PNG with a palette and no filters."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, place = {}, 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        place += length + 12
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), dtype=np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return np.frombuffer(chunks[b"PLTE"], dtype=np.uint8).reshape(-1, 3)[lines[:, 1:]]


def test_few_colours_stay_as_they_are():
    pixels = np.random.default_rng(1).choice([[0, 0, 0], [255, 10, 3], [17, 200, 99]], (20, 31)).astype(np.uint8)
    assert (decoded(png.encode(pixels)) == pixels).all()


def test_of_many_colours_the_nearest_are_taken_and_rare_ones_live_on():
    pixels = np.random.default_rng(2).integers(100, 140, (200, 300, 3)).astype(np.uint8)
    pixels[3:5, 7:200] = (255, 0, 0)  # A thin line, far from all the rest.
    shown = decoded(png.encode(pixels))
    assert (shown[3:5, 7:200] == (255, 0, 0)).all()
    assert np.abs(shown.astype(int) - pixels).max() <= 10
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 256
