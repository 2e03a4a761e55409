"""Objects: what the rows of a backfill name is copied before they are. Its undo removes what the copies made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from migrator.database.connect import Connection
from migrator.database.explaining import explained
from migrator.database.session import transaction
from migrator.engine.groups import Ranking
from migrator.engine.objects import Store, end_trial, trial_name, try_conditions
from migrator.engine.objects.listing import Lister, Select
from migrator.engine.objects.moving import Moved, Moving
from migrator.engine.objects.taking_back import TakenBack, TakingBack
from migrator.engine.prepare import record_definition
from migrator.engine.statements import Writing
from migrator.ledger import backfills, copies, objects, quarantine, steps
from migrator.ledger.listed import Listing
from migrator.ledger.run import Run
from migrator.model.backfill import Backfill
from migrator.model.change import Change
from migrator.model.commands import again
from migrator.model.errors import MigratorError, WorldError
from migrator.model.moved_objects import WAITING, reasons
from migrator.model.objects import CopySettings, Outcome, Removal, Storage
from migrator.model.step import Event, Phase, Preview
from migrator.model.verdict import Verdict

EVERY: Final = 0.2  # seconds between two Events
TRIAL: Final = "trial"  # of conditions, in the Step: where it may have left objects of its own
LISTED: Final = "listed"  # of which state of the database the list is, in the Step
NO_BUCKET: Final = frozenset({"M255", "M256", "M257", "M262"})  # none, elsewhere, shut, no name for one
PATIENCE: Final = 0.5  # seconds between two looks whether others have finished theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyObjects:
    """The Step that copies the objects of one backfill. Those of names in `unwanted` are left where they are."""

    change: Change
    backfill: Backfill
    search_path: str
    storage: Callable[[], Storage]
    select: Select = Writing.objects
    names: frozenset[str] = frozenset()
    unwanted: frozenset[str] = frozenset()
    phase: Phase = Phase.BACKFILL

    @property
    def name(self) -> str:
        """The backfill's name, and that these are its objects."""
        return f"objects of {self.backfill.name}"

    @property
    def title(self) -> str:
        """Whose objects."""
        return f"objects of {self.change.told(self.backfill)}"

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to be copied."""
        return bool(self.names - self.unwanted)

    def preview(self) -> Preview:
        """Say that it takes locks of the Ledger's rows only."""
        return Preview(locks="none")

    def apply(self, run: Run) -> dict[str, int]:
        """List the objects that rows name, and copy those that are not copied yet.

        Raises what copying them raises of the world, M251 where it is not said where objects are, and M402.
        """
        with explained(f"copying {self.title}", run.database.connect), run.database.connect() as conn:
            if not self.is_wanted:
                self._let_wait_no_more(run, conn)
                return {}
            lister, name = self._ready(run, conn), (self.change.name, self.backfill.name)
            listed, moved = self._list(run, conn, lister), Moved()
            for left in reversed(range(1 + max(len(one.or_else) for one in self.backfill.objects.values()))):
                if not objects.pending(conn, *name):
                    break
                moved = moved.and_then(self._move(run, conn, listed))
                if left and objects.any_missing(conn, *name):
                    listed = lister.go(conn)  # under the next of their keys
            with run.writing(conn):
                steps.finish(conn, run.lease, self.phase, self.name)
        return dict(sorted(moved.outcomes.items()))

    def join(self, run: Run) -> dict[str, int]:
        """Help the run that holds the lease with what it has listed, as long as there is something free."""
        with explained(f"copying {self.title}", run.database.connect), run.database.connect() as conn:
            waiting = objects.pending(conn, self.change.name, self.backfill.name)
            moved = self._move(run, conn, waiting, joining=True)
        return dict(sorted(moved.outcomes.items()))

    def check(self, conn: Connection) -> Verdict:
        """Say whether there is an outcome for every object."""
        with transaction(conn, read_only=True):
            waiting = objects.pending(conn, self.change.name, self.backfill.name) if objects.is_kept(conn) else 0
        return Verdict(
            claim=f"every object that rows of {self.backfill.source} name has an outcome in {self.backfill.name}",
            proven=not waiting,
            evidence=f"{waiting:,} wait" if waiting else "none waits",
        )

    def undo(self, run: Run) -> dict[str, int]:
        """Remove what copies made and is still that, and forget all objects of the backfill.

        Raises WorldError M277 where something of ours could not be removed: it stays in the Ledger.
        """
        name = self.backfill.name
        with explained(f"undoing {self.title}", run.database.connect), run.database.connect() as conn:
            with run.writing(conn):
                copies.forget_unmade(conn, self.change.name, name)
                total, _ = copies.count_made(conn, self.change.name, name)
            taken = self._take_back(run, conn, total) if total or self._trial(conn) else TakenBack()
            self._tell_left(run, taken)
            with run.writing(conn):
                steps.forget(conn, self.change.name, self.phase, self.name)
        return {"removed": taken.removals[Removal.REMOVED]} if taken.removals else {}

    @property
    def settings(self) -> CopySettings:
        """How its objects are copied."""
        given = self.change.settings_of(self.backfill)
        return CopySettings(
            workers=given.object_workers,
            objects_per_second=given.objects_per_second,
            bytes_per_second=given.object_bytes_per_second,
        )

    def _let_wait_no_more(self, run: Run, conn: Connection) -> None:
        """Let go of the rows that wait for objects, where nobody wants any."""
        recorded = backfills.find(conn, self.change.name, self.backfill.name)
        if recorded is not None and self.names:
            with run.writing(conn):
                self._release(conn, recorded)

    def _release(self, conn: Connection, backfill: int) -> None:
        """Let go of the rows that wait for a copy, and of all that wait for objects which nobody wants any more."""
        waiting = [f"{name}: {WAITING}" for name in sorted(self.names - self.unwanted)]
        quarantine.release(conn, backfill, [*waiting, *reasons(self.unwanted)])

    def _list(self, run: Run, conn: Connection, lister: Lister) -> int:
        """Write down what rows name now, unless the list is of this very state; gives how many objects that are."""
        known, state = steps.one_of(conn, self.change.name, self.phase, self.name), lister.state(conn)
        if known is not None and state is not None and state == known.undo.get(LISTED):
            return lister.known(conn)
        listed = lister.go(conn)
        # What is written while we list, also by ourselves, is seen by the next apply.
        settled = state if state == lister.state(conn) else None
        with run.writing(conn):
            steps.keep(conn, self.change.name, self.phase, self.name, {LISTED: settled})
        return listed

    def _ready(self, run: Run, conn: Connection) -> Lister:
        """Record the definition, and let go of what is to be tried again; gives what lists the objects."""
        storage = self.storage()
        writing = record_definition(run, conn, self.change, self.backfill, self.search_path)
        ranking = Ranking.of(writing)
        with run.writing(conn):
            steps.begin(conn, run.lease, self.phase, self.name)
            self._release(conn, writing.recorded.id)
            types, recorded = [name for _, name in writing.keyset.columns], writing.recorded
            objects.try_unheld_again(
                conn, self.change.name, self.backfill.name, recorded.id, recorded.provenance, types
            )
            if ranking is not None:
                ranking.run(conn, whole=True)
        listing = Listing(
            change=self.change.name, backfill=self.backfill.name, bucket=storage.bucket or "", run=run.lease.run
        )
        return Lister(run=run, writing=writing, listing=listing, select=self.select, unwanted=self.unwanted)

    def _move(self, run: Run, conn: Connection, listed: int, *, joining: bool = False) -> Moved:
        """Copy until nothing waits, also for what others are copying at this moment."""
        moved, begun, told = Moved(), time.monotonic(), 0.0
        waiting = objects.pending(conn, self.change.name, self.backfill.name)
        if not waiting:
            return moved
        settings = self.settings
        with Store.open(self.storage(), workers=2 * settings.workers) as store:
            if not joining:
                self._try(run, conn, store)
            moving = Moving(
                run=run, backfill=self.backfill.name, store=store, settings=settings, joining=joining, moved=moved
            )
            while True:
                with closing(moving.go()) as going:
                    for _ in going:
                        if time.monotonic() - told > EVERY:
                            told = time.monotonic()
                            self._tell(run, moved, listed - waiting, listed, told - begun)
                if joining or not objects.pending(conn, self.change.name, self.backfill.name):
                    break
                time.sleep(PATIENCE)
        self._tell(run, moved, listed - waiting, listed, time.monotonic() - begun)
        return moved

    def _try(self, run: Run, conn: Connection, store: Store) -> None:
        """Find out before the first copy whether the buckets let us in and the store keeps the conditions of copies."""
        self._end_trial(run, conn, store)
        sources, targets = (
            {one or store.storage.bucket or "" for one in found}
            for found in objects.buckets(conn, self.change.name, self.backfill.name)
        )
        own = {store.storage.bucket or "", *targets}
        for bucket in sorted(own):
            store.check(bucket)
        for bucket in sorted(sources - own):
            self._check_named(run, conn, store, bucket)
        trial = {"name": trial_name(), "buckets": sorted(targets)}
        with run.writing(conn):
            steps.keep(conn, self.change.name, self.phase, self.name, {TRIAL: trial})
        for bucket in sorted(targets):
            try_conditions(store, bucket, str(trial["name"]))
        with run.writing(conn):
            steps.keep(conn, self.change.name, self.phase, self.name, {TRIAL: None})

    def _check_named(self, run: Run, conn: Connection, store: Store, bucket: str) -> None:
        """Ask for a bucket that is not our own: where rows name it and it is none, that is the fault of these rows."""
        try:
            store.check(bucket)
        except MigratorError as error:
            if error.id not in NO_BUCKET or not any(one.bucket_of_rows for one in self.backfill.objects.values()):
                raise
            outcome = Outcome.MISSING if error.id == "M255" else Outcome.REFUSED
            with run.writing(conn):
                objects.give_up(conn, run.lease.run, self.change.name, self.backfill.name, bucket, outcome, error.what)

    def _end_trial(self, run: Run, conn: Connection, store: Store) -> None:
        """Remove what a trial left that was killed."""
        if trial := self._trial(conn):
            for bucket in trial["buckets"]:
                end_trial(store, bucket, trial["name"])
            with run.writing(conn):
                steps.keep(conn, self.change.name, self.phase, self.name, {TRIAL: None})

    def _trial(self, conn: Connection) -> Mapping[str, Any]:
        known = steps.one_of(conn, self.change.name, self.phase, self.name)
        return (known.undo.get(TRIAL) if known else None) or {}

    def _take_back(self, run: Run, conn: Connection, total: int) -> TakenBack:
        settings = self.settings
        with Store.open(self.storage(), workers=settings.workers) as store:
            self._end_trial(run, conn, store)
            taking = TakingBack(run=run, backfill=self.backfill.name, store=store, settings=settings)
            for taken in taking.go():
                done = sum(taken.removals.values())
                run.listen(
                    Event(
                        kind="progress",
                        phase=self.phase,
                        name=self.name,
                        title=f"undo {self.title}",
                        rows=done,
                        total=total,
                        unit="object",
                    )
                )
            return taking.taken

    def _tell_left(self, run: Run, taken: TakenBack) -> None:
        """Name what was not removed. Raises WorldError M277 where that is still ours."""
        if changed := taken.removals[Removal.CHANGED]:
            named = ", ".join(taken.left[Removal.CHANGED])
            more = "" if changed <= len(taken.left[Removal.CHANGED]) else ", …"
            run.said.append(f"left, because they were written to since they were copied: {named}{more}")
        for removal in (Removal.DENIED, Removal.REFUSED):
            if number := taken.removals[removal]:
                raise WorldError(
                    "M277",
                    f"{number:,} objects that we made could not be removed ({removal.value}):"
                    f" {', '.join(taken.left[removal])}.",
                    f"Give the role s3:DeleteObject there, then: {again('rollback', self.change.name)}",
                )

    def _tell(self, run: Run, moved: Moved, before: int, total: int, seconds: float) -> None:
        done = before + sum(moved.outcomes.values())
        run.listen(
            Event(
                kind="progress",
                phase=self.phase,
                name=self.name,
                title=self.title,
                rows=done,
                total=max(total, done),
                detail=dict(moved.outcomes),
                seconds=seconds,
                unit="object",
                bytes=moved.bytes,
            )
        )
