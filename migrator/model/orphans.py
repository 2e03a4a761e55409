"""Objects that no row names, and rows whose object is not there, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from migrator.model.objects import Removal
from migrator.model.step import Hazard


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The part of a bucket that is looked at: keys that begin so."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        """Write it as `s3://bucket/prefix…`."""
        return f"s3://{self.bucket}/{self.prefix}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """So many objects, and their bytes."""

    objects: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An object that no row and no record of the Ledger names."""

    bucket: str
    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where objects are named: a column of a table, or an object of a backfill; with how many names in the scopes."""

    where: str
    names: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """A row whose object is not there. `bucket` is None where a row does not tell; `bytes` is what the Ledger knows."""

    where: str
    row: tuple[str, ...]
    bucket: str | None
    key: str
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Objects held against rows. `young` are those among the orphans that are too young to be deleted.

    `unasked` counts, by where, rows that cannot be asked which object they name; `elsewhere` names outside the scopes.
    """

    change: str
    database: str
    store: str
    scopes: tuple[Scope, ...]
    older_than: timedelta | None
    listed: Amount
    orphans: Amount
    young: Amount
    by_scope: Mapping[str, Amount]
    examples: tuple[Orphan, ...]
    places: tuple[Place, ...]
    unmet: Amount
    unmet_examples: tuple[Unmet, ...]
    elsewhere: int = 0
    unasked: Mapping[str, int] = field(default_factory=dict)
    hazards: tuple[Hazard, ...] = ()

    @property
    def deletable(self) -> Amount:
        """What may be deleted: the orphans that are old enough."""
        return Amount(
            objects=self.orphans.objects - self.young.objects,
            bytes=self.orphans.bytes - self.young.bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """An orphan that was not deleted, and why."""

    key: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What became of the objects of a manifest; `named` are those that are no orphans any more."""

    change: str
    bucket: str
    manifest: str
    listed: Amount
    removed: Amount
    outcomes: Mapping[Removal, int]
    named: int = 0
    left: tuple[Left, ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing was denied or refused."""
        return not (self.outcomes.get(Removal.DENIED, 0) or self.outcomes.get(Removal.REFUSED, 0))
