"""The ids of rows and the names of their pictures, which follow from the seed and the position of the row alone."""

from __future__ import annotations

import hashlib
import uuid


def job_id(position: int, *, seed: int = 1) -> str:
    """Return the id of the row with this position, counted from 0."""
    digits = _hash(position, seed)
    return str(uuid.UUID(f"{digits[:12]}4{digits[13:16]}8{digits[17:]}"))


def picture_id(position: int, kind: str, *, seed: int = 1) -> str:
    """Return the name of a row's picture, `original` or `processed`."""
    return str(uuid.UUID(_md5(f"{kind}:{_hash(position, seed)}")))


def _hash(position: int, seed: int) -> str:
    return _md5(f"{seed}:restoration:{position}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
