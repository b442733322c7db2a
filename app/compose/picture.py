"""PURE. The digest's picture: one strip of marks per member, as PNG bytes.

One strip a row, so that names stay text that wraps, and a mail program without pictures still has
rows with numbers. Shapes differ, not only colours, and the paper is transparent: each colour has
3:1 or more against white and against the dark theme's paper (WCAG 2.2, 1.4.11).
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import hypot

from app.rules.week import Mark

CELL = 24  # CSS pixels a day; the picture has twice as many for fine screens
_SCALE = 2
_SIZE = CELL * _SCALE

_TEAL, _AMBER, _RED, _GREY = (
    (0x1B, 0x7F, 0x79),
    (0xB7, 0x6E, 0),
    (0xC0, 0x39, 0x2B),
    (0x7B, 0x87, 0x94),
)

# How far a point lies inside the shape, in pixels from the cell's middle; negative is outside.
_Shape = Callable[[float, float], float]


def _disc(x: float, y: float) -> float:
    return 15.0 - hypot(x, y)


def _ring(x: float, y: float) -> float:
    return 2.5 - abs(hypot(x, y) - 12.5)


def _square(x: float, y: float) -> float:
    return 14.0 - max(abs(x), abs(y))


def _triangle(x: float, y: float) -> float:
    # An upright triangle: above its base, and within 30 degrees of its top.
    return min(12.5 - y, (y + 17.5) * 0.5 - abs(x) * 0.866)


def _dash(x: float, y: float) -> float:
    return min(9.0 - abs(x), 1.75 - abs(y))


def _nothing(_x: float, _y: float) -> float:
    return -1.0


LOOKS: dict[Mark, tuple[_Shape, tuple[int, int, int]]] = {
    Mark.REPORTED: (_disc, _TEAL),
    Mark.AT_RISK: (_triangle, _AMBER),
    Mark.BLOCKED: (_square, _RED),
    Mark.SILENT: (_ring, _AMBER),
    Mark.OFF: (_dash, _GREY),
    Mark.NO_TASK: (_nothing, _GREY),
}


_COLOURS = (_TEAL, _AMBER, _RED, _GREY)
_SHADES = 3  # of each colour, for smooth edges: with none at all these are 13 of 16 colours


@lru_cache(maxsize=256)  # most members of a team have one of a few weeks
def strip(marks: Sequence[Mark]) -> bytes:
    """The PNG of one row: `len(marks)` cells, twice CELL pixels each way."""
    cells = [_cell(mark) for mark in marks]
    rows = [b"\0" + b"".join(cell[y] for cell in cells) for y in range(_SIZE)]
    return _png(_SIZE * len(cells), _SIZE, b"".join(rows))


@lru_cache(maxsize=len(Mark))
def _cell(mark: Mark) -> list[bytes]:
    """One mark as rows of pixels, two a byte; its edge is smooth."""
    shape, colour = LOOKS[mark]
    first, middle = 1 + _SHADES * _COLOURS.index(colour), (_SIZE - 1) / 2

    def pixel(x: int, y: int) -> int:
        covered = min(max(shape(x - middle, y - middle) + 0.5, 0), 1)
        shade = round(covered * _SHADES)
        return first + shade - 1 if shade else 0

    return [
        bytes(pixel(x, y) << 4 | pixel(x + 1, y) for x in range(0, _SIZE, 2)) for y in range(_SIZE)
    ]


def _png(width: int, height: int, rows: bytes) -> bytes:
    """PNG (ISO/IEC 15948): 4 bits a pixel, from a palette; each row begins with its filter, 0."""
    head = struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)
    colours = b"\0\0\0" + b"".join(bytes(colour) * _SHADES for colour in _COLOURS)
    shades = bytes(round(255 * n / _SHADES) for n in range(1, _SHADES + 1))
    parts = (
        (b"IHDR", head),
        (b"PLTE", colours),
        (b"tRNS", b"\0" + shades * len(_COLOURS)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
