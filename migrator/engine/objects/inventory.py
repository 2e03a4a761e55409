"""What is in a bucket, listed page by page."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.engine.objects.failures import FORBIDDEN, RefusalError, unexplained
from migrator.engine.objects.look import bare
from migrator.engine.objects.store import Store
from migrator.model.errors import UsageError
from migrator.model.objects import ObjectName, StoredObject

PAGE = 1_000


def inventory(store: Store, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
    """List the objects whose keys begin so, one page in memory at a time.

    In what order they come is the store's affair. Raises M257 where listing is denied, and M252 to M262.
    """
    try:
        for page in store.pages("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=PAGE):
            for one in page.get("Contents", ()):
                yield StoredObject(
                    name=ObjectName(bucket, one["Key"]),
                    size=int(one["Size"]),
                    etag=bare(one["ETag"]),
                    modified=one["LastModified"],
                    storage_class=one.get("StorageClass") or "STANDARD",
                )
    except RefusalError as refusal:
        if refusal.status != FORBIDDEN:
            raise unexplained(refusal) from None
        what = f"Bucket {bucket} may not be listed ({refusal.why})."
        raise UsageError("M257", what, f"Give the role s3:ListBucket on {bucket}.") from None


def keeps_versions(store: Store, bucket: str) -> bool:
    """Say whether a bucket keeps versions, or ever did; who may not ask is told that it may. Raises M252 to M262."""
    try:
        return "Status" in store.call("get_bucket_versioning", Bucket=bucket)
    except RefusalError:
        return True
