"""Being rid of orphans: only what was asked for, listed, and written into a manifest goes."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from migrator.database.connect import Connection
from migrator.engine import orphans as engine
from migrator.engine.objects import Pool, Store, keeps_versions
from migrator.ledger.run import Listen, Run
from migrator.model.errors import RefusedError, UsageError
from migrator.model.objects import Removal, StoredObject
from migrator.model.orphans import Amount, Deletion, Left, Orphans, Scope
from migrator.workflow import objects_manifest as manifests
from migrator.workflow.change_steps import object_copy
from migrator.workflow.desk import Desk
from migrator.workflow.facts import facts_of, refuse_undoing
from migrator.workflow.objects_manifest import Manifest
from migrator.workflow.objects_orphans import Asked, compared, opened, scopes_of, telling, unheld_in, with_objects
from migrator.workflow.runner import install_ledger, running

CHUNK: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A deletion that is asked for: which orphans, from which bucket as it was typed, and where that is written.

    `go_on` is with a manifest that an earlier attempt has written.
    """

    asked: Asked
    typed: str
    manifest: Path
    go_on: bool = False


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
    if unheld := unheld_in(desk, scopes):
        told = ", ".join(map(str, unheld))
        held = sorted({one.prefix for one in scopes} - {one.prefix for one in unheld})
        raise RefusedError(
            "M297",
            f"No column holds the keys under {told}: what the application itself put there looks like an orphan."
            " Nothing was deleted.",
            f"Look elsewhere alone: --prefix {held[0]}" if held else "Look elsewhere alone: --prefix PREFIX",
        )


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
    with opened(desk, scopes) as store:
        install_ledger(desk)
        with running(desk, "objects orphans", listen) as (run, conn), tempfile.TemporaryFile("w+") as aside:
            refuse_undoing(desk, facts_of(conn, desk))
            with compared(desk, store, wanted.asked, scopes, listen, before) as (found, looking, moment):
                _refuse_unasked(found)
                amount = manifests.spool(aside, engine.deletable(looking, bucket, moment, chosen=before is not None))
                gone = 0 if before is None else engine.not_there(looking, bucket)
            chosen: Iterable[StoredObject] = manifests.spooled(aside, bucket)
            whole = before or _written(desk, store, wanted, scopes, found, _with_versions(store, bucket, chosen))
            doomed = whole.objects() if before is None else chosen
            pool = Pool(store, object_copy(desk, with_objects(desk)[0]).settings)
            deletion = _deleted(run, conn, pool, whole, doomed, amount if before else whole.amount, wanted.asked.show)
    return found, _gone_before(deletion, gone, amount) if before else deletion


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
    tell = telling(run.listen, f"delete from s3://{manifest.bucket}", amount.objects)
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
