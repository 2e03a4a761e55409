"""A bucket for a demo or a test: filled with what a legacy database names, and looked at to the letter."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from migrator.engine.objects import Store, inventory, look

WORKERS: Final = 8
AHEAD: Final = 1_000

One = TypeVar("One")
Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """One object as it is written."""

    key: str
    body: bytes
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    cache_control: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What an object is, but for the moment at which it was written."""

    size: int
    etag: str
    headers: Mapping[str, Any]
    metadata: Mapping[str, str]


def as_written(objects: Iterable[Media]) -> dict[str, Held]:
    """Say what a bucket holds after these objects were written into it, and nothing else."""
    return {one.key: _written(one) for one in objects}


def fill(store: Store, bucket: str, objects: Iterable[Media]) -> int:
    """Write objects into a bucket that is there, and count them."""

    def put(one: Media) -> None:
        store.call("put_object", Bucket=bucket, Key=one.key, Body=one.body, Metadata=one.metadata, **_headers(one))

    return sum(1 for _ in _at_once(put, objects))


def listed(store: Store, bucket: str) -> dict[str, tuple[int, str]]:
    """List every object of a bucket: its size, and its content by its ETag."""
    return {one.name.key: (one.size, one.etag) for one in inventory(store, bucket)}


def contents(store: Store, bucket: str) -> dict[str, Held]:
    """Look at every object of a bucket: its content by its ETag, and all that was said of it."""
    found = _at_once(lambda one: look(store, one.name), inventory(store, bucket))
    return {
        one.name.key: Held(size=one.size, etag=one.etag, headers=one.headers, metadata=one.metadata)
        for one in found
        if one is not None  # else somebody removed it meanwhile
    }


def difference(before: Mapping[str, Held], now: Mapping[str, Held]) -> str:
    """Name the first object that is not as it was; empty where there is none."""
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            word = "is gone" if key not in now else "is new" if key not in before else "is another"
            return f"{key} {word}"
    return ""


def _written(one: Media) -> Held:
    etag = hashlib.md5(one.body, usedforsecurity=False).hexdigest()
    return Held(size=len(one.body), etag=etag, headers=_headers(one), metadata=one.metadata)


def _headers(one: Media) -> dict[str, str]:
    said = {"ContentType": one.content_type, "CacheControl": one.cache_control}
    return {name: value for name, value in said.items() if value is not None}


def _at_once(act: Callable[[One], Made], objects: Iterable[One]) -> Iterator[Made]:
    """Do something with every object by several threads, some of them ahead."""
    left = iter(objects)
    with ThreadPoolExecutor(WORKERS) as threads:
        while some := list(itertools.islice(left, AHEAD)):
            yield from threads.map(act, some)
