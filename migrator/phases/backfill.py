"""Backfill: the rows of one source become rows of one target. Its undo deletes by provenance what is still ours."""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final

from migrator.database import inventory
from migrator.database.connect import Connection
from migrator.database.locks import reading_explained
from migrator.database.session import execute, transaction, value
from migrator.engine import prepare as preparing
from migrator.engine import sequences
from migrator.engine.behind import count_behind
from migrator.engine.cohorts import Cohort
from migrator.engine.copy import Copy
from migrator.engine.counts import Counts
from migrator.engine.letting_go import Others
from migrator.engine.pacing import Pacing
from migrator.engine.prepare import Prepared, prepare, record_definition
from migrator.engine.smoke import smoke
from migrator.engine.statements import Writing
from migrator.engine.undo import Undo, Written
from migrator.ledger import backfills, copies, parameters, provenance, steps
from migrator.ledger.run import Run
from migrator.model.backfill import Backfill
from migrator.model.change import Change
from migrator.model.commands import again
from migrator.model.errors import RefusedError
from migrator.model.names import Relation, first_schema
from migrator.model.step import Event, Hazard, Phase, Preview, Waiting
from migrator.model.verdict import Verdict

ANALYZE_FROM: Final = 10_000  # rows; fewer do not change a plan
NAMED: Final = 20  # keys of rows that are left with the application


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRows:
    """The Step that copies one backfill.

    `lose_changed`: its undo deletes rows that the application changed since; `keep_changed`: it keeps them as its own;
    `leave`: so it does with what was handed over. `others` is what else is lost when the change is undone.
    `part` is set where only cohorts that stand in the Ledger are copied, or taken back: rows that are a cohort of their
    own are among them in so many of the first buckets.
    """

    change: Change
    backfill: Backfill
    search_path: str
    prepared: Prepared | None = None
    lose_changed: bool = False
    keep_changed: bool = False
    leave: bool = False
    others: Others = field(default_factory=Others)
    part: int | None = None
    phase: Phase = Phase.BACKFILL

    @property
    def name(self) -> str:
        """The backfill's name."""
        return self.backfill.name

    @property
    def title(self) -> str:
        """From where to where."""
        return self.change.told(self.backfill)

    def preview(self) -> Preview:
        """Give the Projection's SELECT; a copy takes row locks of its own rows only."""
        sql = () if self.prepared is None else (self.prepared.projection.select(),)
        return Preview(sql=sql, locks="none")

    def smoke(self, run: Run) -> tuple[Hazard, ...]:
        """Try the target before the first row moves, tell what fails when the application uses it, and keep nothing."""
        with self._explained(f"trying {self.backfill.target}", run), run.database.connect() as conn:
            with run.writing(conn):
                parameters.store(conn, self.change.name, self.change.arguments)
            with transaction(conn, read_only=True, search_path=self.search_path):
                prepared = prepare(conn, self.change, self.backfill, search_path=self.search_path)
            found = smoke(conn, prepared, self.search_path)
        for one in found:
            run.listen(Event(kind="note", phase=self.phase, name=self.name, title=f"{one.id} {one.what}"))
        return found

    def apply(self, run: Run) -> dict[str, int]:
        """Copy what nobody accounts for yet. Raises what `Copy.run` raises, in the user's names."""
        begun = time.monotonic()
        with self._explained(f"copying {self.title}", run), run.database.connect() as conn:
            writing = self._in_part(record_definition(run, conn, self.change, self.backfill, self.search_path))
            with transaction(conn, read_only=True, search_path=self.search_path):
                total = writing.keyset.count(conn)
            sofar = backfills.progress(conn, writing.recorded.id)
            done, waiting = Counts(), None
            while True:
                copy = self._copy(run, writing)
                for counts in copy.run():
                    done += counts
                    self._tell(run, done, sofar, total, time.monotonic() - begun)
                waiting = self._waiting(run, writing, copy)
                if waiting is None or not self._trickles(run, waiting):
                    break
            if waiting is not None:
                run.waiting.append(waiting)
                with run.writing(conn):
                    steps.reopen(conn, run.lease, Phase.BACKFILL, self.name)
                return _named(done)
            with run.writing(conn):
                sequences.catch_up(conn, writing.projection.target, self.backfill.columns)
                if self.part is None:
                    steps.finish(conn, run.lease, Phase.BACKFILL, self.name)
            if done.moved + done.merged >= ANALYZE_FROM:
                self._analyze(conn, writing)
        return _named(done)

    def _in_part(self, writing: Writing) -> Writing:
        if self.part is None:
            return writing
        cohort = Cohort.of(self.change, writing.projection)
        return replace(writing, projection=writing.projection.without(cohort.known(self.change.name, self.part)))

    def _copy(self, run: Run, writing: Writing) -> Copy:
        pace = self.backfill.pace
        return Copy(
            database=run.database,
            lease=run.lease,
            writing=writing,
            settings=self.change.settings_of(self.backfill),
            pacing=None if pace is None else Pacing.of(pace, self.change),
            part=self.part is not None,
        )

    def _waiting(self, run: Run, writing: Writing, copy: Copy) -> Waiting | None:
        """Say how many rows wait because there was no room for them; None for none."""
        if copy.pacing is None or not copy.full.is_set():
            return None
        with run.database.connect() as conn, transaction(conn, read_only=True, search_path=self.search_path):
            rows, opened = count_behind(conn, writing), copy.pacing.open(conn)
        return Waiting(backfill=self.name, target=self.backfill.target, rows=rows, open=opened) if rows else None

    def _trickles(self, run: Run, waiting: Waiting) -> bool:
        """Wait until it is time to look again, where that is wanted."""
        pause = self.change.settings_of(self.backfill).trickle_ms
        if pause is None:
            return False
        said = f"{waiting.sentence}; looking again in {pause / 1000:g} s"
        run.listen(Event(kind="note", phase=self.phase, name=self.name, title=said))
        time.sleep(pause / 1000)
        return True

    def check(self, conn: Connection) -> Verdict:
        """Say whether every source row is accounted for."""
        with transaction(conn, read_only=True, search_path=self.search_path):
            prepared = prepare(conn, self.change, self.backfill, search_path=self.search_path)
            behind = None if prepared.recorded is None else count_behind(conn, prepared.writing())
        return Verdict(
            claim=f"every row of {self.backfill.source} is accounted for in {self.name}",
            proven=behind == 0,
            evidence="it never ran" if behind is None else f"{behind:,} rows are pending",
        )

    def undo(self, run: Run) -> dict[str, int]:
        """Delete the rows that are as we wrote them, and forget the backfill.

        Rows the application changed since are kept and become its own only when that was accepted. Raises RefusedError
        M412 when some are found that nobody accepted.
        """
        with self._explained(f"undoing {self.title}", run), run.database.connect() as conn:
            written = self.written(conn)
            if self.part is not None and written is not None:
                return {"removed": self._undo_part(run, conn, written, self.part)}
            if written is None:
                with run.writing(conn):
                    self._forget(conn)
                return {}
            removed = self._removed(run, written)
            with run.writing(conn):
                self._refuse_left(run, conn, written)
                self._leave_objects(run, conn, written)
                self._forget(conn)
        return {"put back" if self.backfill.in_place else "removed": removed}

    def _removed(self, run: Run, written: Written) -> int:
        undo = Undo(
            database=run.database,
            lease=run.lease,
            written=written,
            settings=self.change.settings_of(self.backfill),
            lose_changed=self.lose_changed and not self.leave,
            others=self.others,
        )
        removed = 0
        for batch in undo.run():
            removed += batch
            run.listen(Event(kind="progress", phase=self.phase, name=self.name, title=self.title, rows=removed))
        return removed

    def _undo_part(self, run: Run, conn: Connection, written: Written, upto: int) -> int:
        """Delete the rows of the cohorts that are taken back, and forget what became of their source rows."""
        with transaction(conn, read_only=True, search_path=self.search_path):
            prepared = prepare(conn, self.change, self.backfill, search_path=self.search_path)
        cohort = Cohort.of(self.change, prepared.projection)
        condition = cohort.leaving(self.change.name, upto)
        part = replace(written, recorded=cohort.known_of(written.recorded, condition))
        removed = self._removed(run, part)
        with run.writing(conn):
            self._refuse_left(run, conn, part)
            cohort.forget(conn, written.recorded, condition)
            steps.reopen(conn, run.lease, Phase.BACKFILL, self.name)
        return removed

    def written(self, conn: Connection) -> Written | None:
        """Say what this backfill wrote, as the Ledger has it; None when it never ran, or its target is gone."""
        recorded = backfills.recorded(conn, self.change.name, self.name)
        if recorded is None:
            return None
        relation = preparing.target_relation(conn, self.backfill, self.search_path)
        provenance_of = Relation("migrator", recorded.provenance.partition(".")[2])
        found = inventory.tables(conn, {relation, provenance_of})
        target, kept = found.get(relation), found.get(provenance_of)
        if target is None or kept is None:
            return None
        return Written(
            name=self.name,
            recorded=recorded,
            target=target,
            keys=tuple(one for one in kept.columns if re.fullmatch(r"s\d+", one.name)),
            identity=tuple(column for name in self.backfill.identities if (column := target.column(name))),
            in_place=self.backfill.in_place,
            handed_over=self.backfill.handed_over,
        )

    def _explained(self, doing: str, run: Run) -> AbstractContextManager[None]:
        """Turn errors of the database into ours, naming who keeps us from source and target."""
        first = first_schema(self.search_path)
        names = (self.backfill.source, self.backfill.target)
        relations = [Relation.parse(one, default_schema=first) for one in names]
        return reading_explained(doing, run.database.connect, relations)

    def _analyze(self, conn: Connection, writing: Writing) -> None:
        """Refresh what the planner knows of the tables just filled; without the right to, the server only warns."""
        with transaction(conn, search_path=self.search_path):
            execute(conn, f"ANALYZE {writing.recorded.provenance}")
            execute(conn, f"ANALYZE {writing.projection.target.relation.sql}")

    def _tell(self, run: Run, done: Counts, sofar: int, total: int, seconds: float) -> None:
        run.listen(
            Event(
                kind="progress",
                phase=self.phase,
                name=self.name,
                title=self.title,
                rows=sofar + done.read,
                total=max(total, sofar + done.read),
                detail=_named(done),
                seconds=seconds,
            )
        )

    def _refuse_left(self, run: Run, conn: Connection, written: Written) -> None:
        left = int(value(conn, f"SELECT count(*) FROM {written.recorded.provenance} AS left_over"))
        if left and written.handed_over and (self.leave or self.keep_changed):
            keys = provenance.targets(conn, written.recorded.provenance, len(written.identity), NAMED)
            more = "" if left <= len(keys) else f" and {left - len(keys):,} more"
            rows = f"{left:,} row{'' if left == 1 else 's'} of {self.backfill.target}"
            run.said.append(f"left with the application: {rows} ({', '.join(keys)}{more})")
        elif left and not self.keep_changed:
            raise RefusedError(
                "M412",
                f"{left:,} rows of {self.backfill.target} were changed by the application since they were counted"
                f"{', or cannot be put back: what they pointed at is gone' if written.in_place else ''}.",
                f"Look again: {again('rollback', self.change.name)} counts them anew.",
            )

    def _leave_objects(self, run: Run, conn: Connection, written: Written) -> None:
        """Leave the objects of rows that stay with the application: they are its own from now on."""
        keys = [f"s{number}" for number in range(1, len(written.keys) + 1)]
        left = copies.hand_over(conn, self.change.name, self.name, written.recorded.provenance, keys)
        if left:
            more = "" if len(left) <= NAMED else f" and {len(left) - NAMED:,} more"
            what = f"{len(left):,} object{'' if len(left) == 1 else 's'} of rows of {self.backfill.target}"
            run.said.append(f"left with the application: {what} ({', '.join(map(str, left[:NAMED]))}{more})")

    def _forget(self, conn: Connection) -> None:
        recorded = backfills.recorded(conn, self.change.name, self.name)
        if recorded is not None:
            backfills.forget(conn, recorded.id)
        steps.forget(conn, self.change.name, Phase.BACKFILL, self.name)


def _named(counts: Counts) -> dict[str, int]:
    found = Counter(
        read=counts.read,
        moved=counts.moved,
        merged=counts.merged,
        skipped=counts.skipped,
        quarantined=counts.quarantined,
    )
    return {name: number for name, number in found.items() if number}
