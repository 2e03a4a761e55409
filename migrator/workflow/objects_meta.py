"""Documents beside rows: written for the rows that moved, recorded, and removed by rollback."""

from __future__ import annotations

from typing import Any

from migrator.database.connect import Connection
from migrator.engine.naming import constant
from migrator.engine.objects import Store
from migrator.engine.objects.documents import Documents
from migrator.engine.prepare import Prepared, prepare
from migrator.ledger.run import Listen, Run
from migrator.model.checked_objects import WrittenDocuments
from migrator.model.commands import command
from migrator.model.errors import UsageError
from migrator.model.step import Event, Phase
from migrator.workflow.change_steps import object_copy
from migrator.workflow.desk import Desk
from migrator.workflow.facts import facts_of, reading, refuse_archived_now, refuse_undoing
from migrator.workflow.housekeeping import ledgered
from migrator.workflow.objects import switch, unwanted
from migrator.workflow.runner import install_ledger, running


def meta(desk: Desk, *, show: int = 20, listen: Listen) -> tuple[WrittenDocuments, ...]:
    """Write the documents of the rows that moved, under the lease of the change. Stopped or killed, it goes on.

    Raises UsageError M287 where none are declared, M288, M296 where no row moved yet, M407, RefusedError M264, M401,
    M405, M438, and M252 to M262.
    """
    if not any(one.documents for one in desk.change.backfills):
        what = f"No backfill of {desk.change.name} declares documents."
        raise UsageError("M287", what, "Declare them in its definition: documents={…}; see docs/definitions.md.")
    declared = [one for backfill in desk.change.backfills for one in backfill.documents.values()]
    if all(switch(desk, one) for one in declared):
        raise unwanted(desk, "documents", declared)
    with ledgered(desk):
        install_ledger(desk)
    with (
        desk.explained(f"writing the documents of {desk.change.name}"),
        Store.open(desk.project.storage()) as store,
        running(desk, "objects meta", listen) as (run, conn),
    ):
        prepared = _prepared(conn, desk)
        for bucket in sorted(_buckets(desk, prepared)):
            store.check(bucket)
        return tuple(made for one in prepared for made in _written(desk, run, conn, store, one, show))


def _prepared(conn: Connection, desk: Desk) -> list[Prepared]:
    """Prepare the backfills whose documents are wanted. Raises UsageError M296 where none of them moved a row yet."""
    facts = facts_of(conn, desk)
    refuse_undoing(desk, facts)
    refuse_archived_now(desk, facts)
    with reading(conn, desk):
        path = desk.database.search_path
        every = [prepare(conn, desk.change, one, search_path=path) for one in desk.change.backfills if one.documents]
    found = [one for one in every if one.recorded is not None]
    if not found:
        what = f"No row of {desk.change.name} was moved yet: there is nothing to write a document for."
        raise UsageError("M296", what, f"First: {command('apply', desk.change.name)}")
    return [one for one in found if one.projection.written]


def _buckets(desk: Desk, prepared: list[Prepared]) -> set[str]:
    """Name the buckets that documents go to, as far as the definitions tell."""
    default = desk.project.storage().bucket or ""
    found = {
        constant(declared.bucket, default, desk.change.arguments)
        for one in prepared
        for declared in one.projection.backfill.documents.values()
    }
    return {one for one in found if one is not None}


def _written(
    desk: Desk, run: Run, conn: Connection, store: Store, prepared: Prepared, show: int
) -> tuple[WrittenDocuments, ...]:
    backfill = prepared.projection.backfill
    assert prepared.recorded is not None  # only what ran is prepared
    title = f"documents of {desk.change.told(backfill)}"

    def tell(kind: Any, count: int = 0, size: int = 0) -> None:
        event = Event(kind=kind, phase=Phase.BACKFILL, name=title, title=title, rows=count, unit="object", bytes=size)
        run.listen(event)

    tell("step")
    documents = Documents(
        run=run,
        projection=prepared.projection,
        recorded=prepared.recorded,
        store=store,
        settings=object_copy(desk, backfill).settings,
        bucket=desk.project.storage().bucket or "",
        show=show,
        tell=lambda count, size: tell("progress", count, size),
    )
    made = documents.go(conn)
    tell("done", sum(one.documents for one in made))
    return made
