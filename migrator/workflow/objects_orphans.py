"""Orphans: objects that nobody names, and rows whose object is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from migrator.database.connect import Connection
from migrator.database.session import transaction
from migrator.engine import naming
from migrator.engine import orphans as engine
from migrator.engine.naming import Names
from migrator.engine.objects import Pool, Store, inventory
from migrator.engine.prepare import Prepared, prepare
from migrator.ledger.run import Listen
from migrator.model.backfill import Backfill
from migrator.model.errors import UsageError
from migrator.model.expressions import ObjectKey, walk
from migrator.model.moved_objects import MovedObject
from migrator.model.objects import ObjectName, Outcome
from migrator.model.orphans import Amount, Orphans, Scope
from migrator.model.step import Event, EventKind, Hazard, Phase
from migrator.workflow.desk import Desk
from migrator.workflow.facts import reading, refuse_archived
from migrator.workflow.objects_manifest import Manifest

CONFIRMED: Final = 10_000  # rows without object that are looked at one by one
SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of the buckets: which parts, what else names objects, how old an orphan must be to go."""

    bucket: str | None = None
    prefixes: tuple[str, ...] = ()
    named_by: tuple[str, ...] = ()
    older_than: timedelta | None = None
    show: int = SHOWN


def orphans(desk: Desk, asked: Asked, *, listen: Listen) -> Orphans:
    """Hold the objects of the buckets against everything that names some; nothing is changed.

    Raises UsageError M287, M288, M289, M293, RefusedError M438, and what the store raises.
    """
    scopes = scopes_of(desk, asked)
    with opened(desk, scopes) as store, compared(desk, store, asked, scopes, listen) as (found, _, _):
        return found


def unheld_in(desk: Desk, scopes: Sequence[Scope]) -> tuple[Scope, ...]:
    """List the beginnings of keys, within what is looked at, that the definitions make and write into no column."""
    default, found = desk.project.storage().bucket or "", dict[Scope, None]()
    for backfill in with_objects(desk):
        written = {
            one.name for made in backfill.expressions.values() for one in walk(made) if isinstance(one, ObjectKey)
        }
        beside = [one for name, one in backfill.objects.items() if name not in written]
        for prefix, bucket in _targets(desk, backfill, default, beside):
            found |= {one: None for one in scopes if bucket in {None, one.bucket} and _meet(one.prefix, prefix)}
    return tuple(found)


def _meet(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def scopes_of(desk: Desk, asked: Asked) -> tuple[Scope, ...]:
    """Say which parts of which buckets are looked at: where the keys of the definitions begin, or what was asked for.

    Raises UsageError M287 where nothing declares objects, M289 where only the rows know the bucket.
    """
    default = desk.project.storage().bucket or ""
    found: set[Scope] = set()
    for backfill in with_objects(desk):
        for prefix, bucket in _targets(desk, backfill, default, backfill.objects.values()):
            if bucket is None and asked.bucket is None:
                what = f"{backfill.name}: the bucket of its objects differs from row to row."
                raise UsageError("M289", what, "Name one of them: --bucket NAME")
            found.add(Scope(bucket=bucket or asked.bucket or "", prefix=prefix))
    buckets = {one.bucket for one in found}
    if asked.bucket is not None:
        found = {one for one in found if one.bucket == asked.bucket}
    if asked.prefixes:
        found = {Scope(bucket=one, prefix=prefix) for one in buckets for prefix in asked.prefixes}
        found = {one for one in found if asked.bucket in {None, one.bucket}}
        if not found:  # a bucket that the definitions do not name
            found = {Scope(bucket=asked.bucket or default, prefix=prefix) for prefix in asked.prefixes}
    if not found:
        what = f"{desk.change.name} puts no object into bucket {asked.bucket}."
        raise UsageError("M289", what, f"It does into {', '.join(sorted(buckets))}. Or say where: --prefix PREFIX")
    covered = {one for one in found for other in found if _covers(other, one)}
    return tuple(sorted(found - covered, key=lambda one: (one.bucket, one.prefix)))


def with_objects(desk: Desk) -> list[Backfill]:
    """List the backfills that declare objects, also those that are left out now. Raises UsageError M287 for none."""
    every = (*desk.change.backfills, *desk.change.left_out)
    found = [one for one in every if one.objects or one.documents]
    if not found:
        what = f"No backfill of {desk.change.name} declares objects."
        raise UsageError("M287", what, "Declare them in its definition: objects={…}; see docs/definitions.md.")
    return found


def _targets(
    desk: Desk, backfill: Backfill, default: str, objects: Iterable[MovedObject]
) -> Iterator[tuple[str, str | None]]:
    """Say how the keys of objects and of all documents begin, and in which bucket; None where only the row knows."""
    arguments = desk.change.arguments
    for one in objects:
        yield one.template.literals[0], naming.constant(one.to_bucket, default, arguments)
    for document in backfill.documents.values():
        yield document.template.literals[0], naming.constant(document.bucket, default, arguments)


def _covers(other: Scope, one: Scope) -> bool:
    return other != one and other.bucket == one.bucket and one.prefix.startswith(other.prefix)


@contextmanager
def opened(desk: Desk, scopes: Sequence[Scope]) -> Iterator[Store]:
    """Open the store, once every bucket of the scopes was seen to let us in."""
    with Store.open(desk.project.storage()) as store:
        for bucket in sorted({one.bucket for one in scopes}):
            store.check(bucket)
        yield store


@contextmanager
def compared(
    desk: Desk, store: Store, asked: Asked, scopes: Sequence[Scope], listen: Listen, before: Manifest | None = None
) -> Iterator[tuple[Orphans, Connection, datetime]]:
    """List, then read all names, then compare; what was staged is there during the block.

    In this order: whatever was written with its row while we listed is named.
    """
    refuse_archived(desk)
    doing = f"looking for objects of {desk.change.name} without rows"
    with desk.explained(doing), desk.database.connect() as conn:
        with reading(conn, desk):
            _places(conn, desk, asked)  # what cannot be read at all is told before a bucket is listed
        with transaction(conn, search_path=desk.database.search_path, endless=True):
            _list(conn, store, scopes, listen)
            if before is not None:
                engine.choose(conn, before.objects())
            places = _places(conn, desk, asked)
            engine.stage_names(conn, places, scopes)
            _confirm(conn, store, places, scopes)
            moment = (store.clock or datetime.now(UTC)) - (asked.older_than or timedelta())
            yield _found(conn, desk, asked, scopes, places, moment), conn, moment


def _places(conn: Connection, desk: Desk, asked: Asked) -> list[Names]:
    """List everything that names objects."""
    default, path = desk.project.storage().bucket or "", desk.database.search_path
    prepared: list[Prepared] = [prepare(conn, desk.change, one, search_path=path) for one in with_objects(desk)]
    found = [name for one in prepared for name in naming.of_source(conn, one, default, path)]
    found += [name for one in prepared for name in naming.of_target(one, default)]
    found += [name for one in prepared for name in naming.by_convention(conn, one, default)]
    found += [naming.named_by(conn, one, path) for one in asked.named_by]
    return [*found, *naming.of_ledger(conn, default)]


def _list(conn: Connection, store: Store, scopes: Sequence[Scope], listen: Listen) -> None:
    title = f"list {', '.join(map(str, scopes))}"
    tell = telling(listen, title)
    tell("step", 0)
    found = (each for one in scopes for each in inventory(store, one.bucket, one.prefix))
    tell("done", engine.stage_objects(conn, found, lambda count: tell("progress", count)))


def telling(listen: Listen, title: str, total: int | None = None) -> Callable[[EventKind, int], None]:
    """Give what tells how far some objects are."""

    def tell(kind: EventKind, count: int) -> None:
        listen(Event(kind=kind, phase=Phase.VERIFY, name=title, title=title, rows=count, total=total, unit="object"))

    return tell


def _confirm(conn: Connection, store: Store, places: Sequence[Names], scopes: Sequence[Scope]) -> None:
    """Look once more for what was not found: it may have been written after its page was listed."""
    buckets = sorted({one.bucket for one in scopes})
    asked = [
        ObjectName(bucket, one.key)
        for one in engine.unmet_names(conn, places, CONFIRMED)
        for bucket in ([one.bucket] if one.bucket else buckets)
    ]
    there = [one.name for one in Pool(store).look(dict.fromkeys(asked)) if one.outcome is not Outcome.MISSING]
    engine.forget_unmet(conn, there)


def _found(
    conn: Connection, desk: Desk, asked: Asked, scopes: Sequence[Scope], places: Sequence[Names], moment: datetime
) -> Orphans:
    unasked, elsewhere = engine.unasked(conn, places), engine.elsewhere(conn, places, scopes)
    return Orphans(
        change=desk.change.name,
        database=desk.database.shown,
        store=desk.project.storage().endpoint or "Amazon S3",
        scopes=tuple(scopes),
        older_than=asked.older_than,
        listed=engine.listed(conn),
        orphans=engine.orphans(conn),
        young=engine.orphans(conn, moment) if asked.older_than else Amount(),
        by_scope={str(one): engine.orphans_of(conn, one) for one in scopes},
        examples=engine.examples(conn, asked.show),
        places=engine.counted(conn, places),
        unmet=engine.unmet_amount(conn),
        unmet_examples=tuple(engine.unmet_names(conn, places, asked.show)),
        elsewhere=elsewhere,
        unasked=unasked,
        hazards=tuple(_hazards(unasked, elsewhere, unheld_in(desk, scopes))),
    )


def _hazards(unasked: Mapping[str, int], elsewhere: int, unheld: Sequence[Scope]) -> Iterator[Hazard]:
    for where, count in unasked.items():
        yield Hazard(
            id="H185",
            what=f"{count:,} rows of {where} cannot be asked which object they name; nothing may be deleted.",
            cure="Mend these rows, or the expression that reads them.",
        )
    if elsewhere:
        yield Hazard(
            id="H186",
            what=f"{elsewhere:,} names of rows lie elsewhere, and were not looked for.",
            cure="Choose what is looked at: --prefix PREFIX",
        )

    if unheld:
        yield Hazard(
            id="H187",
            what=f"No column holds the keys under {', '.join(map(str, unheld))}: what the application itself put there"
            " looks like an orphan.",
            cure="Nothing is deleted there; look elsewhere alone: --prefix PREFIX",
        )
