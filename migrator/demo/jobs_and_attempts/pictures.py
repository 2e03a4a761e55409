"""Pictures of one dot, in some hundred bytes that a viewer can open (of HEIC only what it is told by), no two alike."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_JPEG: Final = bytes.fromhex(
    "ffdb004300" + "01" * 64  # a table of quantisation
    + "ffc0000b080001000101011100"  # one dot, in grey
    + "ffc4001400" + "01" + "00" * 16  # the codes of what changes, and of what does not
    + "ffc4001410" + "01" + "00" * 16
    + "ffda0008010100003f00" + "3f" + "ffd9"
)  # fmt: skip
_WEBP: Final = bytes.fromhex("5650384c0d0000002f00000010071011118888fe0700")


def _jpeg(said: bytes) -> bytes:
    return b"\xff\xd8\xff\xfe" + struct.pack(">H", len(said) + 2) + said + _JPEG


def _png(said: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    dot = chunk(b"IDAT", zlib.compress(b"\x00\x80"))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"tEXt", b"Comment\x00" + said) + dot + chunk(b"IEND", b"")
    )


def _webp(said: bytes) -> bytes:
    even = said + b" " * (len(said) % 2)
    body = b"WEBP" + _WEBP + b"note" + struct.pack("<I", len(even)) + even
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _heic(said: bytes) -> bytes:
    kinds = b"ftypheic\x00\x00\x00\x00mif1heic"
    return struct.pack(">I", len(kinds) + 4) + kinds + struct.pack(">I", len(said) + 8) + b"free" + said


MAKERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
    "image/heic": _heic,
}


def picture(kind: str, said: str) -> bytes:
    """Make a picture of this content type that says something in a comment."""
    return MAKERS[kind](said.encode())
