"""Whether a store keeps the conditions on which every copy rests: some take them and overwrite all the same."""

from __future__ import annotations

from contextlib import suppress
from uuid import uuid4

from migrator.engine.objects.failures import PRECONDITION, RefusalError, unexplained
from migrator.engine.objects.look import look, quoted
from migrator.engine.objects.remove import remove
from migrator.engine.objects.store import Store
from migrator.model.errors import RefusedError
from migrator.model.objects import ObjectName

OTHER = "0" * 32  # the ETag of nothing


def try_conditions(store: Store, bucket: str, name: str | None = None) -> None:
    """Try with two objects of our own, which are removed again, whether the store refuses what it is told to refuse.

    Whoever may be killed meanwhile gives their `name`, and remembers it. Raises RefusedError M264 where the store does
    not refuse, and M252 to M262.
    """
    name = name or trial_name()
    source, target = {"Bucket": bucket, "Key": f"{name}/source"}, {"Bucket": bucket, "Key": f"{name}/target"}
    try:
        etag = store.call("put_object", **source, Body=b"migrator")["ETag"]
        _must_refuse(store, "a copy of a source that was replaced", target, source, quoted(OTHER))
        store.call("copy_object", **target, CopySource=source, CopySourceIfMatch=etag, IfNoneMatch="*")
        _must_refuse(store, "a copy to a key that is taken", target, source, etag)
    except RefusalError as refusal:
        raise unexplained(refusal) from None
    finally:
        end_trial(store, bucket, name)


def trial_name() -> str:
    """Make up a name for objects of our own."""
    return f"~migrator/{uuid4()}"


def end_trial(store: Store, bucket: str, name: str) -> None:
    """Remove what a trial left. Raises M252 to M262."""
    for key in (f"{name}/source", f"{name}/target"):
        with suppress(RefusalError):
            left = look(store, ObjectName(bucket, key))
            if left is not None:
                remove(store, left)


def _must_refuse(store: Store, what: str, target: dict[str, str], source: dict[str, str], etag: str) -> None:
    """Ask for what must be refused."""
    try:
        store.call("copy_object", **target, CopySource=source, CopySourceIfMatch=etag, IfNoneMatch="*")
    except RefusalError as refusal:
        if refusal.status == PRECONDITION:
            return
        raise
    raise unkept(store, what)


def unkept(store: Store, what: str) -> RefusedError:
    """Say that the store does what it was told to refuse."""
    where = store.storage.endpoint or "Amazon S3"
    return RefusedError(
        "M264",
        f"{where} does not refuse {what}, though it was told to: objects could be overwritten or copied half old.",
        "Use a store that keeps conditions on copies, or a newer version of this one.",
    )
