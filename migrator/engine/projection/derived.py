"""Derived ids: what `derived_uuid` and `derived_text` make of a source's name and key (docs/glossary.md, the bytes)."""

from __future__ import annotations

from collections.abc import Iterable

from migrator.model.names import literal

NAMESPACE = bytes.fromhex("8f5d0d1f5ae04c1cb2f0c1b9a2a4a5e1")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def digest(declared_source: str, keys: Iterable[str], salt: str) -> str:
    """Write the sha256 of which an id is made; `keys` are the key's columns as SQL."""
    parts = [
        f"'\\x{(NAMESPACE + _sized(declared_source)).hex()}'::bytea",
        *(_sized_text(f"({one})::text") for one in keys),
    ]
    if salt:
        parts.append(f"'\\x{_sized(salt).hex()}'::bytea")
    return f"sha256({' || '.join(parts)})"


def _sized(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(4, "big") + encoded


def _sized_text(text: str) -> str:
    """Put the length (4 bytes, network order) in front of a text's UTF-8 bytes, so that no two lists agree."""
    encoded = f"convert_to({text}, 'UTF8')"
    return f"int4send(octet_length({encoded})) || {encoded}"


def as_uuid(hex: str) -> str:
    """Write the UUID, of version 8, that begins with these hexadecimal digits."""
    variant = f"translate(substr({hex}, 17, 1), '0123456789abcdef', '89ab89ab89ab89ab')"
    parts = [f"substr({hex}, 1, 12)", "'8'", f"substr({hex}, 14, 3)", variant, f"substr({hex}, 18, 15)"]
    return f"({' || '.join(parts)})::uuid"


def as_text(digest: str, prefix: str, length: int) -> str:
    """Write the prefix and so many digits of base 36, each of one byte of a digest."""
    digits = [f"substr('{DIGITS}', get_byte({digest}, {n}) % 36 + 1, 1)" for n in range(length)]
    return f"({' || '.join([literal(prefix), *digits])})"
