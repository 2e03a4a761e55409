"""Writing one document: never over an object that is there, with a digest that the store checks."""

from __future__ import annotations

import base64
import hashlib
import random
from datetime import datetime
from typing import Any

from migrator.engine.objects import failures
from migrator.engine.objects.copy import CONFLICTS, outcome_of
from migrator.engine.objects.failures import RefusalError
from migrator.engine.objects.going import Going
from migrator.engine.objects.look import bare, look
from migrator.engine.objects.same import sha256
from migrator.engine.objects.store import Store
from migrator.engine.objects.trial import unkept
from migrator.model.documents import WriteTask
from migrator.model.objects import Copied, CopyTask, Evidence, Outcome, StoredObject


def write(store: Store, task: WriteTask, going: Going) -> Copied:
    """Write a document, and say what came of it. Raises errors of the world only (M252 to M262), and StoppedError."""
    if fault := task.target.fault:
        return _ended(task, Outcome.NO_NAME, fault)
    for attempt in range(CONFLICTS):
        try:
            return _written(store, task, going)
        except RefusalError as refusal:
            if refusal.status != failures.CONFLICT or attempt == CONFLICTS - 1:
                return _ended(task, outcome_of(refusal), refusal.why)
        going.pause(random.uniform(0, 0.2 * 2**attempt))  # noqa: S311 -- somebody else writes there at this moment
    raise AssertionError


def write_where_free(store: Store, task: WriteTask, going: Going) -> Copied:
    """Write a document only where nothing is seen: until it is known that the store keeps conditions."""
    try:
        if task.target.fault is None and look(store, task.target) is not None:
            return _in_the_way(store, task, going, ours_since=task.since)
    except RefusalError as refusal:
        return _ended(task, outcome_of(refusal), refusal.why)
    return write(store, task, going)


def refuse_careless(store: Store, task: WriteTask) -> None:
    """Try to write a document that was just written once more, which the store must refuse.

    Raises RefusedError M264 where it does not, and M252 to M262.
    """
    try:
        _put(store, task)
    except RefusalError as refusal:
        if refusal.status != failures.PRECONDITION:
            raise failures.unexplained(refusal) from None
        return
    raise unkept(store, "to write over an object")


def _put(store: Store, task: WriteTask) -> dict[str, Any]:
    return store.call(
        "put_object",
        Bucket=task.target.bucket,
        Key=task.target.key,
        Body=task.content,
        ContentType=task.content_type,
        ContentMD5=base64.b64encode(bytes.fromhex(task.digest)).decode(),
        IfNoneMatch="*",
    )


def _written(store: Store, task: WriteTask, going: Going) -> Copied:
    going.take(len(task.content))
    before = store.clock
    try:
        answer = _put(store, task)
    except RefusalError as refusal:
        if refusal.status != failures.PRECONDITION:
            raise
        since = task.since or (before if refusal.retried else None)
        return _in_the_way(store, task, going, ours_since=since)
    made = StoredObject(
        name=task.target, size=len(task.content), etag=bare(answer.get("ETag")), version=answer.get("VersionId")
    )
    return _ended(task, Outcome.COPIED, made=made, evidence=Evidence.MD5)


def _in_the_way(store: Store, task: WriteTask, going: Going, *, ours_since: datetime | None) -> Copied:
    """Find out what stands there: an earlier attempt of ours, the same by somebody else, or something else."""
    there = look(store, task.target)
    if there is None:
        return _ended(task, Outcome.REFUSED, "a condition failed")
    evidence = _same(store, task, there, going)
    if evidence is None:
        return _ended(task, Outcome.OCCUPIED, f"{there.size:,} bytes there, {len(task.content):,} to be written")
    ours = ours_since is not None and there.modified is not None and there.modified >= ours_since
    return _ended(task, Outcome.COPIED if ours else Outcome.THERE, made=there, evidence=evidence)


def _same(store: Store, task: WriteTask, there: StoredObject, going: Going) -> Evidence | None:
    """Say by what an object is the document; None where it is not."""
    if there.size != len(task.content):
        return None
    if there.etag == task.digest:
        return Evidence.MD5
    mine = hashlib.sha256(task.content).hexdigest()
    return Evidence.READ if sha256(store, there, going) == mine else None


def _ended(
    task: WriteTask,
    outcome: Outcome,
    detail: str = "",
    *,
    made: StoredObject | None = None,
    evidence: Evidence | None = None,
) -> Copied:
    told = CopyTask(source=task.target, target=task.target, reference=task.reference)
    return Copied(task=told, outcome=outcome, detail=detail, made=made, evidence=evidence)
