"""Removing an object that a copy of ours made, if it is still that one."""

from __future__ import annotations

from typing import Any, Final

from migrator.engine.objects import failures
from migrator.engine.objects.failures import RefusalError
from migrator.engine.objects.look import look, quoted
from migrator.engine.objects.store import Store
from migrator.model.objects import Removal, Removed, StoredObject

UNVERSIONED: Final = "null"


def remove(store: Store, made: StoredObject) -> Removed:
    """Remove an object that we made, only while it is what we made.

    Where the bucket keeps versions, exactly our version is removed, so that what was there before is there again: no
    marker is left. Elsewhere the store itself compares the ETag as it deletes. Raises errors of the world only.
    """
    try:
        there = look(store, made.name)
        if there is None:
            return Removed(made=made, removal=Removal.GONE)
        if (there.version or UNVERSIONED) != (made.version or UNVERSIONED) or there.etag != made.etag:
            return Removed(made=made, removal=Removal.CHANGED)
        _delete(store, there)
    except RefusalError as refusal:
        return Removed(made=made, removal=_removal(refusal), detail=refusal.why)
    return Removed(made=made, removal=Removal.REMOVED)


def _delete(store: Store, there: StoredObject) -> None:
    # A version never changes, so it needs no condition; S3 takes none with it.
    only: dict[str, Any] = {"VersionId": there.version} if there.version else {"IfMatch": quoted(there.etag)}
    store.call("delete_object", Bucket=there.name.bucket, Key=there.name.key, **only)


def _removal(refusal: RefusalError) -> Removal:
    if refusal.status == failures.PRECONDITION:
        return Removal.CHANGED
    return Removal.DENIED if refusal.status == failures.FORBIDDEN else Removal.REFUSED
