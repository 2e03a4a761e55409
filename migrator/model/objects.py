"""Objects of an S3 store as values: where one is, what it is, what is to be copied, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final

LONGEST_KEY: Final = 1_024  # bytes of UTF-8
MAKES_A_DIGEST: Final = frozenset("0123456789abcdef")
LENGTH_OF_MD5: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where objects are: `[s3]` of migrator.toml. What is None is left to the standard AWS chain."""

    endpoint: str | None = None
    region: str | None = None
    bucket: str | None = None
    cdn_domain: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class ObjectName:
    """The name of an object: its bucket and its key, as they are, encoded in no way."""

    bucket: str
    key: str

    def __str__(self) -> str:
        """Write it as `s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def fault(self) -> str | None:
        """Why no object can have this name, if so."""
        if not self.bucket or not self.key:
            return "the bucket is empty" if not self.bucket else "the key is empty"
        try:
            size = len(self.key.encode())
        except UnicodeEncodeError:
            return "the key is no UTF-8"
        return f"the key has {size:,} bytes, and {LONGEST_KEY:,} are the most" if size > LONGEST_KEY else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """What an object is, as far as somebody has looked.

    `checksums` are those of the whole object, by algorithm. `headers` are what is kept by a copy: content type, cache
    control and the like, under the names of the S3 API. A listing knows neither.
    """

    name: ObjectName
    size: int
    etag: str
    modified: datetime | None = None
    version: str | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "STANDARD"
    tags: int = 0

    @property
    def digest(self) -> str | None:
        """The ETag where it may be the MD5 of the content: never that of an object uploaded in parts."""
        return self.etag if len(self.etag) == LENGTH_OF_MD5 and MAKES_A_DIGEST.issuperset(self.etag) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTask:
    """One object to be copied.

    `seen` is the source as a listing told it, and saves looking. `since` is the time of the store before an earlier
    attempt began that may have made the target: what is younger and has the same content is ours. `reference` is the
    caller's own.
    """

    source: ObjectName
    target: ObjectName
    seen: StoredObject | None = None
    since: datetime | None = None
    reference: Any = None


class Outcome(Enum):
    """What came of the copy of one object."""

    COPIED = "copied"
    THERE = "there already"
    MISSING = "object missing"
    DENIED = "access denied"
    OCCUPIED = "another object holds this key"
    REPLACED = "replaced during the copy"
    DIFFERS = "checksum differs"
    TOO_LARGE = "too large"
    ARCHIVED = "archived, to be restored first"
    NO_NAME = "no object can have this name"
    CONTESTED = "another row has this key"
    REFUSED = "refused by the store"

    @property
    def good(self) -> bool:
        """Whether the object is at its target, proven."""
        return self in {Outcome.COPIED, Outcome.THERE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found under a name: an object, or the outcome that a copy of it would have."""

    name: ObjectName
    found: StoredObject | None = None
    outcome: Outcome | None = None
    detail: str = ""


class Evidence(Enum):
    """By what the content of two objects was found equal."""

    SAME = "one object"
    CHECKSUM = "checksum"
    MD5 = "md5"
    READ = "read"
    SIZE = "size alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What came of a task. `made` is the object at the target; only after `COPIED` is it ours to remove.

    `left` names what of the source could not be kept.
    """

    task: CopyTask
    outcome: Outcome
    detail: str = ""
    made: StoredObject | None = None
    evidence: Evidence | None = None
    left: tuple[str, ...] = ()


class Removal(Enum):
    """What came of removing one object that we made."""

    REMOVED = "removed"
    GONE = "gone already"
    CHANGED = "no longer ours"
    DENIED = "access denied"
    REFUSED = "refused by the store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What came of removing the object that a copy had made."""

    made: StoredObject
    removal: Removal
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySettings:
    """How objects are copied.

    `workers` is how many at once; `objects_per_second` and `bytes_per_second` are limits, None is none.
    `parts_over` is the size above which an object is copied in parts of `part_bytes`; `largest` what may be copied at
    all. `read_to_prove` lets contents be read where nothing the store knows of both objects proves them equal.
    `look_first` is for stores that do not refuse to overwrite: whoever writes between look and copy is not seen.
    """

    workers: int = 16
    objects_per_second: float | None = None
    bytes_per_second: float | None = None
    parts_over: int = 5 << 30
    part_bytes: int = 256 << 20
    largest: int = 10_000 * (5 << 30)
    read_to_prove: bool = True
    look_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the copies are: objects by outcome, bytes that were copied, and seconds since the first."""

    outcomes: Mapping[Outcome, int]
    bytes: int
    seconds: float

    @property
    def objects(self) -> int:
        """How many objects are done with, whatever came of them."""
        return sum(self.outcomes.values())

    @property
    def objects_per_second(self) -> float:
        """Objects a second so far."""
        return self.objects / self.seconds if self.seconds else 0.0

    @property
    def bytes_per_second(self) -> float:
        """Bytes a second so far."""
        return self.bytes / self.seconds if self.seconds else 0.0
