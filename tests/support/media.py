"""The bucket of the documented photo restoration in the store of the tests, and its change with that bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from migrator.demo import buckets
from migrator.demo.jobs_and_attempts import media
from tests.support.objects import Objects


def filled(objects: Objects, bucket: str, *, rows: int | None = None) -> dict[str, buckets.Held]:
    """Fill a bucket with the pictures of the legacy rows, and look at all of it."""
    buckets.fill(objects.store, bucket, media(rows=rows))
    return buckets.contents(objects.store, bucket)


@contextmanager
def emptied(objects: Objects, bucket: str) -> Iterator[str]:
    """Give a bucket, and empty it afterwards."""
    try:
        yield bucket
    finally:
        for key in buckets.contents(objects.store, bucket):
            objects.client.delete_object(Bucket=bucket, Key=key)
