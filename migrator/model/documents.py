"""Documents that are written beside rows, as values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migrator.model.objects import ObjectName


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteTask:
    """One document to be written. `since` is as of a CopyTask; `reference` is the caller's own."""

    target: ObjectName
    content: bytes
    content_type: str
    since: datetime | None = None
    reference: Any = None

    @property
    def digest(self) -> str:
        """The MD5 of the content, which is the ETag of what is written, where the bucket has no key of its own."""
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()
