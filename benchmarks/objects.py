"""`--only objects`: copies inside an S3 store by our pool, as a ratio to a bare pool of boto3 doing the same copies.

"The same" is a copy from the very object that was seen, to a key that must be free, by 16 threads. Where a listing has
told what the sources are it is one request an object; else each is looked at first, and it is two. "No conditions"
leaves the conditions out: what nobody should run, and what they cost. Then follows the whole Step, and its memory.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import boto3
from botocore.config import Config

from benchmarks.moving_objects import against_bare, memory
from migrator.engine.objects import Pool, Store, inventory
from migrator.model.objects import CopySettings, CopyTask, ObjectName, Outcome, StoredObject
from migrator.servers.postgres import Postgres
from tests.support.objects import opened

BUCKET: Final = "objects"
THREADS: Final = 16
BODY: Final = 2_000  # bytes


def objects(count: int, pairs: int, most: int) -> None:
    """Measure bare, ours, bare, ours …, and print the ratios; then memory for up to so many objects."""
    with opened(None) as server:
        client = _client(server.endpoint)
        store = Store.open(server.storage, workers=THREADS)
        client.create_bucket(Bucket=BUCKET)
        _fill(client, count)
        seen = list(inventory(store, BUCKET, "old/"))
        runs: dict[str, Callable[[str], None]] = {
            "bare, listed": lambda to: _bare(client, seen, to, look=False),
            "ours, listed": lambda to: _ours(store, seen, to, listed=True),
            "bare, looking": lambda to: _bare(client, seen, to, look=True),
            "ours, looking": lambda to: _ours(store, seen, to, listed=False),
            "bare, no conditions": lambda to: _careless(client, seen, to),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for pair, (name, run) in itertools.product(range(pairs + 1), runs.items()):
            begun, worked = time.monotonic(), time.process_time()
            run(f"{pair}/{name}")
            if pair:  # the first is for warming up
                taken[name].append((time.monotonic() - begun, time.process_time() - worked))
        for name, figures in taken.items():
            wall, cpu = (statistics.median(one[side] for one in figures) for side in (0, 1))
            ratios = [bare[0] / one[0] for bare, one in zip(taken[name.replace("ours", "bare")], figures, strict=True)]
            said = f"   ratio {statistics.median(ratios):.2f}" if name.startswith("ours") else ""
            print(f"objects, {name:20} {count / wall:7,.0f} a second   {cpu / count * 1000:.2f} ms CPU each{said}")
        with Postgres.start() as postgres:
            against_bare(server, postgres, seen, THREADS, pairs, lambda to: _bare(client, seen, to, look=True))
            memory(server, postgres, seen, THREADS, [most // 10, most])


def _client(endpoint: str) -> Any:
    config = Config(max_pool_connections=THREADS, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)


def _fill(client: Any, count: int) -> None:
    def put(number: int) -> None:
        client.put_object(Bucket=BUCKET, Key=f"old/{number}", Body=f"{number} ".encode() * (BODY // 8))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, range(count)))


def _bare(client: Any, seen: list[StoredObject], to: str, *, look: bool) -> None:
    """Copy as one would with boto3 and a pool of threads, and the conditions."""

    def copy(one: StoredObject) -> None:
        source = {"Bucket": BUCKET, "Key": one.name.key}
        etag = client.head_object(**source)["ETag"] if look else f'"{one.etag}"'
        client.copy_object(
            Bucket=BUCKET, Key=f"{to}/{one.name.key}", CopySource=source, CopySourceIfMatch=etag, IfNoneMatch="*"
        )

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(copy, seen))


def _careless(client: Any, seen: list[StoredObject], to: str) -> None:
    """Copy without any condition."""

    def copy(one: StoredObject) -> None:
        client.copy_object(
            Bucket=BUCKET, Key=f"{to}/{one.name.key}", CopySource={"Bucket": BUCKET, "Key": one.name.key}
        )

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(copy, seen))


def _ours(store: Store, seen: list[StoredObject], to: str, *, listed: bool) -> None:
    """Copy by our pool; a wrong figure is no figure."""
    pool = Pool(store, CopySettings(workers=THREADS))
    for _ in pool.copy(
        CopyTask(source=one.name, target=ObjectName(BUCKET, f"{to}/{one.name.key}"), seen=one if listed else None)
        for one in seen
    ):
        pass
    assert {Outcome.COPIED: len(seen)} == pool.progress.outcomes, pool.progress
