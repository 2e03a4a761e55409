"""Looking again at all that was copied: whether it is there, and still what was proven."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from migrator.database.connect import Connection
from migrator.engine.objects.pool import Pool
from migrator.engine.objects.store import Store
from migrator.ledger import copied
from migrator.ledger.copied import Kept
from migrator.model.checked_objects import Astray, CheckedObjects
from migrator.model.objects import CopySettings, Looked

CHANGED: Final = "written to since it was copied"


@dataclass(slots=True)
class _Counts:
    """What was found of one name of one backfill, so far."""

    looked: int = 0
    bytes: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    examples: list[Astray] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checking:
    """The look at every object that the Ledger says is at its target, with so many examples of those that are not."""

    store: Store
    change: str
    settings: CopySettings
    show: int = 20
    tell: Callable[[int, int], None] = lambda _objects, _bytes: None

    def go(self, conn: Connection) -> tuple[CheckedObjects, ...]:
        """Look at each, by HEAD; only reads. Raises M252 to M262."""
        counts: dict[tuple[str, str], _Counts] = {}
        pool, objects, size = Pool(self.store, self.settings), 0, 0
        for page in copied.pages(conn, self.change, self.store.storage.bucket or ""):
            kept = {one.target: one for one in page}
            for looked in pool.look(kept):
                one = kept[looked.name]
                self._count(counts.setdefault((one.backfill, one.name), _Counts()), one, looked)
                objects, size = objects + 1, size + one.size
            self.tell(objects, size)
        return tuple(_checked(backfill, name, one) for (backfill, name), one in sorted(counts.items()))

    def _count(self, counts: _Counts, one: Kept, looked: Looked) -> None:
        counts.looked += 1
        counts.bytes += one.size
        fault = fault_of(one, looked)
        if fault is None:
            return
        counts.faults[fault] = counts.faults.get(fault, 0) + 1
        if len(counts.examples) < self.show:
            counts.examples.append(Astray(row=one.row, object=str(one.target), why=fault, detail=looked.detail))


def fault_of(one: Kept, looked: Looked) -> str | None:
    """Say why an object is not what was proven; None where it is."""
    if looked.found is None:
        return None if looked.outcome is None else looked.outcome.value
    same = looked.found.size == one.size and looked.found.etag == one.etag
    return None if same else CHANGED


def _checked(backfill: str, name: str, counts: _Counts) -> CheckedObjects:
    faults: Mapping[str, int] = dict(sorted(counts.faults.items()))
    return CheckedObjects(
        backfill=backfill,
        name=name,
        looked_at=counts.looked,
        bytes=counts.bytes,
        faults=faults,
        examples=tuple(counts.examples),
    )
