"""Copying an object too large for one request: part by part, there as a whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from migrator.engine.objects import failures
from migrator.engine.objects.failures import RefusalError
from migrator.engine.objects.going import Going
from migrator.engine.objects.look import quoted
from migrator.engine.objects.store import Store
from migrator.model.errors import MigratorError
from migrator.model.objects import CopySettings, CopyTask, ObjectName, StoredObject

MOST_PARTS: Final = 10_000
JOINED: Final = "CRC64NVME"  # that of a whole object can be made from those of its parts


def copy_in_parts(
    store: Store, task: CopyTask, source: StoredObject, settings: CopySettings, going: Going
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Copy an object in parts and give the answer, and what of it could not be kept.

    Nothing stands at the target before the last part is there, and then only if nothing else does. What was begun is
    aborted when it fails. Raises RefusalError.
    """
    target = {"Bucket": task.target.bucket, "Key": task.target.key}
    if task.since is not None:
        abort_left(store, task.target, task.since)
    tags, left = _tags(store, source)
    begun = store.call(
        "create_multipart_upload",
        **target,
        **source.headers,
        **tags,
        Metadata=dict(source.metadata),
        StorageClass=source.storage_class,
        ChecksumAlgorithm=JOINED,
        ChecksumType="FULL_OBJECT",
    )
    upload = {**target, "UploadId": begun["UploadId"]}
    try:
        parts = _parts(store, upload, source, settings, going)
        answer = store.call("complete_multipart_upload", **upload, IfNoneMatch="*", MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(RefusalError, MigratorError):
            store.call("abort_multipart_upload", **upload)
        raise
    return answer, left


def _parts(
    store: Store, upload: dict[str, Any], source: StoredObject, settings: CopySettings, going: Going
) -> list[dict[str, Any]]:
    """Copy all parts, one after the other: other objects are copied beside this one."""
    size = max(settings.part_bytes, -(-source.size // MOST_PARTS))
    made: list[dict[str, Any]] = []
    for number, begin in enumerate(range(0, source.size, size), 1):
        going.check()
        answer = store.call(
            "upload_part_copy",
            **upload,
            PartNumber=number,
            CopySource={"Bucket": source.name.bucket, "Key": source.name.key},
            CopySourceIfMatch=quoted(source.etag),
            CopySourceRange=f"bytes={begin}-{min(begin + size, source.size) - 1}",
        )["CopyPartResult"]
        sums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        made.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
    return made


def _tags(store: Store, source: StoredObject) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read the tags of the source; without the right to do so they are left."""
    if not source.tags:
        return {}, ()
    try:
        answer = store.call("get_object_tagging", Bucket=source.name.bucket, Key=source.name.key)
    except RefusalError as refusal:
        if refusal.status != failures.FORBIDDEN:
            raise
        return {}, ("tags",)
    return {"Tagging": urlencode([(one["Key"], one["Value"]) for one in answer["TagSet"]])}, ()


def abort_left(store: Store, name: ObjectName, since: datetime) -> None:
    """Abort what an earlier attempt of ours that was killed began at this name; it would be paid for, unseen.

    Who may not do so copies all the same.
    """
    with suppress(RefusalError):
        answer = store.call("list_multipart_uploads", Bucket=name.bucket, Prefix=name.key)
        for one in answer.get("Uploads", ()):
            if one["Key"] == name.key and one["Initiated"] >= since:
                store.call("abort_multipart_upload", Bucket=name.bucket, Key=name.key, UploadId=one["UploadId"])
