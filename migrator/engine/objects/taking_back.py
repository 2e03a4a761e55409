"""Taking back: what copies made is removed again, as long as it is what they made; the Ledger forgets it after that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from migrator.database.connect import Connection
from migrator.engine.objects.failures import RefusalError
from migrator.engine.objects.going import Going
from migrator.engine.objects.look import look
from migrator.engine.objects.parts import abort_left
from migrator.engine.objects.pool import Pool
from migrator.engine.objects.same import same, told
from migrator.engine.objects.store import Store
from migrator.ledger import copies
from migrator.ledger.objects import FORMER, TABLE, Record
from migrator.ledger.run import Run
from migrator.model.errors import MigratorError
from migrator.model.objects import CopySettings, Outcome, Removal, Removed, StoredObject

SIZE: Final = 500  # objects of one transaction
GONE: Final = frozenset({Removal.REMOVED, Removal.GONE})
SHOWN: Final = 20


@dataclass(slots=True)
class TakenBack:
    """How many objects were removed, and by name those that are no longer ours, or could not be removed."""

    removals: Counter[Removal] = field(default_factory=Counter)
    left: dict[Removal, list[str]] = field(default_factory=dict)

    def add(self, one: Removed) -> None:
        """Count one more."""
        self.removals[one.removal] += 1
        if one.removal not in GONE:
            named = self.left.setdefault(one.removal, [])
            if len(named) < SHOWN:
                named.append(f"{one.made.name} ({one.detail})" if one.detail else str(one.made.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class TakingBack:
    """The removal of all that copies of one backfill made. Killed, it goes on."""

    run: Run
    backfill: str
    store: Store
    settings: CopySettings
    taken: TakenBack = field(default_factory=TakenBack)

    def go(self) -> Iterator[TakenBack]:
        """Remove what is ours and unchanged, transaction by transaction; what may not be removed stays in the Ledger.

        What an attempt made that was killed before it could say so is ours if it has the content of its source and is
        not older than that attempt. Raises M402 and M252 to M262, after all that was removed has been written down.
        """
        with self.run.database.connect() as conn:
            for table in (TABLE, FORMER):
                after: int | None = 0
                while after is not None:
                    after = self._batch(conn, table, after)
                    yield self.taken

    def _batch(self, conn: Connection, table: str, after: int) -> int | None:
        """Remove the next objects; gives the last of their ids, None when there are no more."""
        failure: MigratorError | None = None
        over: list[int] = []  # records of which nothing of ours is left
        with self.run.writing(conn, endless=True):
            records = copies.made_by(conn, table, self.run.change.name, self.backfill, after, SIZE)
            pool = Pool(self.store, self.settings)
            try:
                ours = {one.id: one.made for one in records if one.outcome is not None}
                ours |= self._settled(pool, [one for one in records if one.outcome is None], over)
                self._remove(pool, ours, over)
            except MigratorError as error:
                failure = error
            copies.forget(conn, table, over)
        if failure is not None:
            raise failure
        return records[-1].id if records else None

    def _remove(self, pool: Pool, ours: Mapping[int, StoredObject], over: list[int]) -> None:
        records = {id(made): record for record, made in ours.items()}
        for one in pool.remove(ours.values()):
            self.taken.add(one)
            if one.removal in GONE or one.removal is Removal.CHANGED:
                over.append(records[id(one.made)])

    def _settled(self, pool: Pool, records: Sequence[Record], over: list[int]) -> dict[int, StoredObject]:
        """Find out which attempts that said nothing made what stands at their targets."""
        looked = {one.name: one for one in pool.look(dict.fromkeys(one.target for one in records))}
        made: dict[int, StoredObject] = {}
        for record in records:
            found = looked[record.target]
            if record.since is not None and (record.size is None or record.size > self.settings.parts_over):
                abort_left(self.store, record.target, record.since)
            if found.found is not None and self._is_ours(record, found.found):
                made[record.id] = found.found
            elif found.outcome is Outcome.DENIED:
                nothing = StoredObject(name=record.target, size=0, etag="")
                self.taken.add(Removed(made=nothing, removal=Removal.DENIED, detail=found.detail))
            else:
                over.append(record.id)
        return made

    def _is_ours(self, record: Record, there: StoredObject) -> bool:
        """Say whether an object has the content of its source and is not older than the attempt to make it."""
        if record.since is None or there.modified is None or there.modified < record.since:
            return False
        seen = StoredObject(name=record.source, size=record.size or 0, etag=record.etag or "")
        possible, evidence = told(seen, there)
        if evidence is not None or not possible:
            return possible
        try:
            source = look(self.store, record.source) if record.from_key else None
            return source is not None and same(self.store, source, there, Going(), read=True) is not None
        except RefusalError:
            return False
