"""Orphans: objects that nobody names, and rows whose object is not there; and the way to be rid of the former."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from migrator.database.connect import Connection
from migrator.database.session import transaction
from migrator.engine import naming
from migrator.engine import orphans as engine
from migrator.engine.naming import Names
from migrator.engine.objects import Pool, Store, inventory, keeps_versions
from migrator.engine.prepare import Prepared, prepare
from migrator.ledger.run import Listen, Run
from migrator.model.backfill import Backfill
from migrator.model.errors import RefusedError, UsageError
from migrator.model.expressions import ObjectKey, walk
from migrator.model.moved_objects import MovedObject
from migrator.model.objects import ObjectName, Outcome, Removal, StoredObject
from migrator.model.orphans import Amount, Deletion, Left, Orphans, Scope
from migrator.model.step import Event, EventKind, Hazard, Phase
from migrator.workflow import objects_manifest as manifests
from migrator.workflow.change_steps import object_copy
from migrator.workflow.desk import Desk
from migrator.workflow.facts import facts_of, reading, refuse_archived, refuse_undoing
from migrator.workflow.objects_manifest import Manifest
from migrator.workflow.runner import install_ledger, running

CONFIRMED: Final = 10_000  # rows without object that are looked at one by one
CHUNK: Final = 1_000
SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of the buckets: which parts, what else names objects, how old an orphan must be to go."""

    bucket: str | None = None
    prefixes: tuple[str, ...] = ()
    named_by: tuple[str, ...] = ()
    older_than: timedelta | None = None
    show: int = SHOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A deletion that is asked for: which orphans, from which bucket as it was typed, and where that is written.

    `go_on` is with a manifest that an earlier attempt has written.
    """

    asked: Asked
    typed: str
    manifest: Path
    go_on: bool = False


def orphans(desk: Desk, asked: Asked, *, listen: Listen) -> Orphans:
    """Hold the objects of the buckets against everything that names some; nothing is changed.

    Raises UsageError M287, M288, M289, M293, RefusedError M438, and what the store raises.
    """
    scopes = scopes_of(desk, asked)
    with _opened(desk, scopes) as store, _looked(desk, store, asked, scopes, listen) as (found, _, _):
        return found


def refuse_unready(desk: Desk, wanted: Wanted) -> Scope:
    """Raise what stands in the way of a deletion before anything is listed: M289, M290, M291, M294, M297.

    Gives the one bucket it is about.
    """
    asked = wanted.asked
    if asked.older_than is None:
        what = "How old must an orphan be to be deleted? Nothing was said."
        raise UsageError("M294", what, "For example: --older-than 30d")
    scopes = scopes_of(desk, asked)
    buckets = sorted({one.bucket for one in scopes})
    if len(buckets) > 1:
        what = f"Objects of {desk.change.name} are in several buckets: {', '.join(buckets)}."
        raise UsageError("M289", what, "Delete from one at a time: --bucket NAME")
    if any(not one.prefix for one in scopes) and not asked.prefixes:
        what = f"The keys of {desk.change.name} begin with a field, so all of {buckets[0]} would be looked at."
        raise UsageError("M289", what, "Say which part of it is yours alone: --prefix restored/")
    _refuse_unheld(desk, scopes)
    if not wanted.go_on:
        manifests.refuse_taken(wanted.manifest)
    return Scope(bucket=buckets[0])


def _refuse_unheld(desk: Desk, scopes: Sequence[Scope]) -> None:
    """Raise RefusedError M297 where nobody can say whose an object is that no record of the Ledger names."""
    if unheld := _unheld(desk, scopes):
        told = ", ".join(map(str, unheld))
        held = sorted({one.prefix for one in scopes} - {one.prefix for one in unheld})
        raise RefusedError(
            "M297",
            f"No column holds the keys under {told}: what the application itself put there looks like an orphan."
            " Nothing was deleted.",
            f"Look elsewhere alone: --prefix {held[0]}" if held else "Look elsewhere alone: --prefix PREFIX",
        )


def _unheld(desk: Desk, scopes: Sequence[Scope]) -> tuple[Scope, ...]:
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


def refuse_typed(bucket: str, typed: str) -> None:
    """Raise RefusedError M290 where somebody typed another name than that of the bucket."""
    if typed != bucket:
        raise RefusedError(
            "M290",
            f"{typed!r} was typed, and the bucket is {bucket!r}; nothing was deleted.",
            f"Type its name as it is, or give --yes-delete-from {bucket}",
        )


def delete(desk: Desk, wanted: Wanted, *, listen: Listen) -> tuple[Orphans, Deletion]:
    """Delete orphans that are old enough, after a manifest of them is on the disk; under the lease of the change.

    Each is deleted only as the object that was listed. Killed, it goes on with the same manifest.
    Raises as `orphans` does, RefusedError M290, M291, M292, M297, M401, M405, UsageError M291, M294.
    """
    bucket = refuse_unready(desk, wanted).bucket
    refuse_typed(bucket, wanted.typed)
    scopes = scopes_of(desk, wanted.asked)
    before = manifests.read(wanted.manifest, desk.change.name) if wanted.go_on else None
    if before is not None:
        refuse_typed(before.bucket, wanted.typed)
    with _opened(desk, scopes) as store:
        install_ledger(desk)
        with running(desk, "objects orphans", listen) as (run, conn), tempfile.TemporaryFile("w+") as aside:
            refuse_undoing(desk, facts_of(conn, desk))
            with _looked(desk, store, wanted.asked, scopes, listen, before) as (found, looking, moment):
                _refuse_unasked(found)
                amount = manifests.spool(aside, engine.deletable(looking, bucket, moment, chosen=before is not None))
                gone = 0 if before is None else engine.not_there(looking, bucket)
            chosen: Iterable[StoredObject] = manifests.spooled(aside, bucket)
            whole = before or _written(desk, store, wanted, scopes, found, _with_versions(store, bucket, chosen))
            doomed = whole.objects() if before is None else chosen
            pool = Pool(store, object_copy(desk, with_objects(desk)[0]).settings)
            deletion = _deleted(run, conn, pool, whole, doomed, amount if before else whole.amount, wanted.asked.show)
    return found, _gone_before(deletion, gone, amount) if before else deletion


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
def _opened(desk: Desk, scopes: Sequence[Scope]) -> Iterator[Store]:
    with Store.open(desk.project.storage()) as store:
        for bucket in sorted({one.bucket for one in scopes}):
            store.check(bucket)
        yield store


@contextmanager
def _looked(
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
    tell = _telling(listen, title)
    tell("step", 0)
    found = (each for one in scopes for each in inventory(store, one.bucket, one.prefix))
    tell("done", engine.stage_objects(conn, found, lambda count: tell("progress", count)))


def _telling(listen: Listen, title: str, total: int | None = None) -> Callable[[EventKind, int], None]:
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
        hazards=tuple(_hazards(unasked, elsewhere, _unheld(desk, scopes))),
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


def _refuse_unasked(found: Orphans) -> None:
    """Raise RefusedError M292 where rows may name an object that would be taken for an orphan."""
    if found.unasked:
        told = "; ".join(f"{count:,} of {where}" for where, count in found.unasked.items())
        raise RefusedError(
            "M292",
            f"There are rows that cannot be asked which object they name: {told}. Nothing was deleted.",
            "Mend these rows, or the expression that reads them.",
        )


def _with_versions(store: Store, bucket: str, chosen: Iterable[StoredObject]) -> Iterator[StoredObject]:
    """Give what is to be deleted with its version, where the bucket keeps some; what changed meanwhile is left out."""
    if not keeps_versions(store, bucket):
        yield from chosen
        return
    for chunk in _in_parts(chosen):
        by_name = {one.name: one for one in chunk}
        for looked in Pool(store).look(by_name):
            one, there = by_name[looked.name], looked.found
            if there is not None and (there.etag, there.size) == (one.etag, one.size):
                yield replace(one, version=there.version)


def _in_parts(objects: Iterable[StoredObject]) -> Iterator[list[StoredObject]]:
    """Take a thousand at a time."""
    left = iter(objects)
    while part := list(islice(left, CHUNK)):
        yield part


def _written(
    desk: Desk,
    store: Store,
    wanted: Wanted,
    scopes: Sequence[Scope],
    found: Orphans,
    chosen: Iterable[StoredObject],
) -> Manifest:
    return manifests.write(
        wanted.manifest,
        desk.change.name,
        wanted.typed,
        chosen,
        prefixes=[one.prefix for one in scopes],
        older_than_seconds=int((found.older_than or timedelta()).total_seconds()),
        at=(store.clock or datetime.now(UTC)).isoformat(),
    )


def _deleted(
    run: Run,
    conn: Connection,
    pool: Pool,
    manifest: Manifest,
    doomed: Iterable[StoredObject],
    amount: Amount,
    show: int,
) -> Deletion:
    """Delete object by object, a thousand between two looks at the lease."""
    outcomes, size = Counter[Removal](), 0
    left: list[Left] = []
    tell = _telling(run.listen, f"delete from s3://{manifest.bucket}", amount.objects)
    tell("step", 0)
    for chunk in _in_parts(doomed):
        with run.writing(conn):
            pass  # whoever took the change over may be copying to these keys
        for removed in pool.remove(chunk):
            outcomes[removed.removal] += 1
            size += removed.made.size if removed.removal is Removal.REMOVED else 0
            if removed.removal not in {Removal.REMOVED, Removal.GONE} and len(left) < show:
                why = f"{removed.removal.value} {removed.detail}".strip()
                left.append(Left(key=removed.made.name.key, why=why))
        tell("progress", sum(outcomes.values()))
    tell("done", outcomes[Removal.REMOVED])
    return Deletion(
        change=run.change.name,
        bucket=manifest.bucket,
        manifest=str(manifest.path),
        listed=manifest.amount,
        removed=Amount(objects=outcomes[Removal.REMOVED], bytes=size),
        outcomes=dict(outcomes),
        left=tuple(left),
    )


def _gone_before(deletion: Deletion, gone: int, looked_at: Amount) -> Deletion:
    """Account for what the earlier attempt deleted, and for what is named, or another object, by now."""
    outcomes = {**deletion.outcomes, Removal.GONE: deletion.outcomes.get(Removal.GONE, 0) + gone}
    return replace(deletion, outcomes=outcomes, named=deletion.listed.objects - gone - looked_at.objects)
