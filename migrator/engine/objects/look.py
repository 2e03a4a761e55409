"""Looking at one object: what it is, and why it cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from migrator.engine.objects import failures
from migrator.engine.objects.failures import RefusalError
from migrator.engine.objects.store import Store
from migrator.model.objects import ObjectName, StoredObject

# What a copy keeps beside content and metadata, under the names of the API.
KEPT: Final = (
    "ContentType",
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "WebsiteRedirectLocation",
)
ALGORITHMS: Final = ("SHA256", "SHA512", "CRC64NVME", "SHA1", "CRC32C", "CRC32")
COMPOSITE: Final = "COMPOSITE"


def look(store: Store, name: ObjectName, *, version: str | None = None) -> StoredObject | None:
    """Look at an object; None when there is none.

    Raises RefusalError where it may not be looked at, in the words of S3, and M252 to M262.
    """
    which = {"VersionId": version} if version else {}
    try:
        answer = store.call("head_object", Bucket=name.bucket, Key=name.key, ChecksumMode="ENABLED", **which)
    except RefusalError as refusal:
        if _worded(store, name, refusal, which).status == failures.NOT_FOUND:
            return None
        raise
    return stored(name, answer)


def _worded(store: Store, name: ObjectName, refusal: RefusalError, which: Mapping[str, str]) -> RefusalError:
    """Ask for one byte of it, because a refusal of HEAD has no words: 404 may be a bucket, 403 a token.

    Raises the refusal in words, unless it is a plain absence; or the error, where it is of the world.
    """
    try:
        store.call("get_object", Bucket=name.bucket, Key=name.key, Range="bytes=0-0", **which)["Body"].close()
    except RefusalError as worded:
        if worded.status == failures.NOT_FOUND and refusal.status == failures.NOT_FOUND:
            return worded
        if worded.status != failures.NOT_FOUND:
            raise worded from None
    return refusal


def stored(name: ObjectName, answer: Mapping[str, Any]) -> StoredObject:
    """Read the answer of HEAD."""
    headers = {one: answer[one] for one in KEPT if answer.get(one) is not None}
    if expires := answer.get("ExpiresString"):
        headers["Expires"] = expires
    return StoredObject(
        name=name,
        size=int(answer["ContentLength"]),
        etag=bare(answer.get("ETag")),
        modified=answer.get("LastModified"),
        version=answer.get("VersionId"),
        checksums=checksums(answer),
        headers=headers,
        metadata=answer.get("Metadata") or {},
        storage_class=answer.get("StorageClass") or "STANDARD",
        tags=int(answer.get("TagCount") or 0),
    )


def checksums(answer: Mapping[str, Any]) -> dict[str, str]:
    """Read the checksums of the whole object; those of checksums of its parts say nothing about another's parts."""
    found = {one: str(answer[f"Checksum{one}"]) for one in ALGORITHMS if answer.get(f"Checksum{one}")}
    if answer.get("ChecksumType") == COMPOSITE:
        return {}
    return {one: told for one, told in found.items() if "-" not in told}


def bare(etag: str | None) -> str:
    """Take the quotes off an ETag; some stores leave them out in one answer and not in the next."""
    return (etag or "").removeprefix("W/").strip('"')


def quoted(etag: str) -> str:
    """Write an ETag as conditions want it."""
    return f'"{etag}"'
