"""The photo restoration's bucket: every planted class has its number, and rows of every form lead to their objects."""

from __future__ import annotations

import importlib
import io
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from migrator.demo import buckets
from migrator.demo.jobs_and_attempts import build_legacy, media, planted_media
from migrator.demo.jobs_and_attempts.fates import ATTEMPTS, IS_TAKEN, NO_OBJECT, NO_UPLOAD, fates
from migrator.demo.jobs_and_attempts.media import (
    BROKEN_OFF,
    REALLY,
    SAYS_NOTHING,
    STRANGERS,
    TAKEN,
    UNTOLD,
    WITHOUT_ORIGINAL,
    WITHOUT_PICTURE,
    copy_of_original,
)
from migrator.demo.jobs_and_attempts.mix import BUCKET, BY_HAND, FORMS, LIVE, MIX, NO_UPDATED, PRESIGNED, TEST_KEY
from migrator.project import Project
from tests.support.media import filled
from tests.support.restoration import id_of

if TYPE_CHECKING:
    from tests.support.databases import Databases
    from tests.support.objects import Objects

EXPECTED = planted_media()
PLACE = {one.number: place for place, one in enumerate(MIX)}
KINDS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"RIFF": "image/webp",
    b"\x00\x00\x00\x18": "image/heic",
}

# What a URL may be, and the bucket that it names.
BUCKETS = {
    "s3://b-1/k": "b-1",
    " S3://b-1/k\n": "b-1",
    "https://my.dotted.bucket.s3.dualstack.us-east-1.amazonaws.com/k": "my.dotted.bucket",
    "https://My-Bucket.S3.amazonaws.com:443/k": "my-bucket",
    "https://s3.us-east-1.amazonaws.com/bucket/k/a.jpg": "bucket",
    "https://s3-eu-west-1.amazonaws.com/bucket/k": "bucket",
    "https://b.s3.cn-north-1.amazonaws.com.cn/k": "b",
    "https://s3.b.s3.us-east-2.amazonaws.com/k?x=https://c.s3.amazonaws.com/": "s3.b",
    "https://d1.cloudfront.net/s3://b/k": None,
    "https://photos.example.org/b.s3.amazonaws.com/k": None,
    "k/a.jpg": None,
    "": None,
}


@pytest.fixture(scope="module")
def bucket(objects: Objects) -> str:
    """Make a bucket of the restoration; no test of this file writes to it."""
    name = objects.bucket()
    filled(objects, name)
    return name


@pytest.fixture(scope="module")
def found(objects: Objects, bucket: str) -> dict[str, buckets.Held]:
    """Look at everything in it."""
    return buckets.contents(objects.store, bucket)


@pytest.fixture(scope="module")
def rows(databases: Databases) -> dict[int, dict[str, Any]]:
    """Work out for each row, by its number, where its pictures are, as the definition does."""
    Project.documented().change("jobs_and_attempts")
    shared = importlib.import_module("backfills._restoration")
    asked = {
        "picture": shared.PROCESSED_KEY,
        "original": shared.ORIGINAL_KEY,
        "picture_bucket": shared.bucket("processed_image_url"),
        "original_bucket": shared.bucket("original_image_url"),
    }
    with databases.fresh() as url, closing(psycopg.connect(url)) as conn:
        build_legacy(conn, bucket="an-old.bucket")
        columns = ", ".join(rendered(one) for one in asked.values())
        query = f"SELECT id::text, {columns} FROM restoration_jobs".replace("%", "%%")
        said = {one[0]: dict(zip(asked, one[1:], strict=True)) for one in conn.execute(query.encode(), ()).fetchall()}
    return {number: said[id_of(number)] for number in PLACE}


def rendered(part: Any) -> str:
    """Write a fragment with its places filled, as the Projection does."""
    if hasattr(part, "filled"):
        return f"({part.filled({name: rendered(one) for name, one in part.places})})"
    arms = " ".join(f"WHEN {rendered(one.when)} THEN {rendered(one.value)}" for one in part.rules)
    return f"(CASE {arms} END)"


def test_what_is_planted_is_in_the_bucket(objects: Objects, bucket: str, found: dict[str, buckets.Held]) -> None:
    """Each class has its planted number, and each object is what it was said to be."""
    written = {one.key: one for one in media()}
    assert EXPECTED.objects == len(written) == len(found)
    assert buckets.as_written(media()) == found
    assert written[TEST_KEY].content_type == "image/jpeg"
    assert set(STRANGERS) < set(found)
    assert EXPECTED.of_tests == len(NO_UPDATED)
    empty = [key for key, one in found.items() if one.size == 0]
    assert (EXPECTED.broken_off, [written[key].body for key in empty]) == (len(BROKEN_OFF), [b""])
    odd = [key for key in found if any(sign in key for sign in " +%é家")]
    assert EXPECTED.named_by_hand + 1 == len(BY_HAND) + 1 == len(odd)  # and one of the strangers
    assert all(any(sign in key for key in odd) for sign in ("%", "+", "é", "家", "&", " "))
    assert len([key for key in found if "|" in key]) > EXPECTED.objects / 2
    for key in (TEST_KEY, *odd, *empty):
        body = objects.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert written[key].body == body
    metadata = {key: one.metadata for key, one in found.items() if one.metadata}
    assert metadata == {key: one.metadata for key, one in written.items() if one.metadata}
    assert len(metadata) > EXPECTED.objects * 0.9
    cached = {key for key, one in found.items() if one.headers.get("CacheControl")}
    assert cached == {key for key, one in written.items() if one.cache_control}


def test_contents_and_types_are_what_they_are_and_endings_sometimes_lie(
    found: dict[str, buckets.Held], rows: dict[int, dict[str, Any]]
) -> None:
    """Where somebody told the store a type, it is the one of the bytes; of some the ending of the key says another."""
    lying, untold = [], []
    for one in media():
        kind = next((kind for sign, kind in KINDS.items() if one.body.startswith(sign)), None)
        told = found[one.key].headers.get("ContentType")
        ending = one.key.rpartition(".")[2].replace("jpg", "jpeg")
        if told == SAYS_NOTHING:
            untold.append(one.key)
        elif one.body:
            assert told == kind
            if told != f"image/{ending}":
                lying.append(one.key)
    assert {rows[number]["original"] for number in REALLY} == set(lying)
    assert {rows[number]["original"] for number in UNTOLD} == set(untold)
    assert (EXPECTED.ending_belies, EXPECTED.untold) == (len(lying), len(untold))


def test_rows_of_every_form_lead_to_their_objects(
    found: dict[str, buckets.Held], rows: dict[int, dict[str, Any]]
) -> None:
    """Bar, escapes once and twice, signatures, spaces: each key is exactly that of the object, but where none is."""
    named = {number: one["picture"] for number, one in rows.items() if one["picture"]}
    assert set(WITHOUT_PICTURE) == {number for number, key in named.items() if key not in found}
    assert EXPECTED.without_picture == len(WITHOUT_PICTURE)
    originals = {number: one["original"] for number, one in rows.items()}
    assert set(WITHOUT_ORIGINAL) == {number for number, key in originals.items() if key not in found}
    assert EXPECTED.without_original == len(WITHOUT_ORIGINAL)
    assert {TEST_KEY} == {originals[number] for number in NO_UPDATED}
    assert all(named[number] in found for number in PRESIGNED)
    assert {number % len(FORMS) for number in named} == set(range(len(FORMS)))
    ours = {*named.values(), *originals.values(), *STRANGERS}
    assert {key for key in found if key not in ours} == {
        copy_of_original(MIX[PLACE[number]], PLACE[number]) for number in (LIVE, *TAKEN)
    }


def test_a_bucket_is_looked_for_where_the_url_names_one(rows: dict[int, dict[str, Any]]) -> None:
    """URLs of S3 name it in host, path or scheme; those of the CDN, of other hosts and bare keys do not."""
    silent = {"cloudfront", "key alone", "encoded"}
    for number, one in rows.items():
        form = FORMS[number % len(FORMS)]
        names = None if form in silent else "an-old.bucket"
        assert one["original_bucket"] == (None if number in NO_UPDATED else names)
        if one["picture"]:
            assert one["picture_bucket"] == ("an-old.bucket" if number in PRESIGNED else names)
    assert BUCKET != "an-old.bucket"


def test_every_way_to_name_a_bucket(rows: dict, database: str) -> None:
    """The name stands before .s3 in the host, else first in the path."""
    shared = importlib.import_module("backfills._restoration")
    query = f"SELECT {rendered(shared.bucket('url'))} FROM unnest(%s::text[]) WITH ORDINALITY AS t (url, n) ORDER BY n"
    with closing(psycopg.connect(database)) as conn:
        found = conn.execute(query.encode(), [list(BUCKETS)]).fetchall()
    assert BUCKETS == dict(zip(BUCKETS, (one for (one,) in found), strict=True))


def test_the_fates_of_objects_are_those_that_are_planted() -> None:
    """Rows whose objects cannot be copied wait under their names, beside those that wait without objects."""
    without, found = fates()[ATTEMPTS], fates(objects=True)[ATTEMPTS]
    at_fault = {NO_OBJECT: 3, NO_UPLOAD: 3, IS_TAKEN: 1}
    assert {**without.quarantined, **at_fault} == found.quarantined
    assert without.moved - 7 == found.moved
    assert (EXPECTED.without_picture, EXPECTED.without_original, EXPECTED.taken) == tuple(at_fault.values())
    assert {name: dict(one.quarantined) for name, one in fates(objects=True, rows=1_000).items()} == {
        name: {why: n * 5 for why, n in one.quarantined.items()} for name, one in fates(objects=True).items()
    }


def test_the_number_of_objects_is_known_for_any_number_of_rows() -> None:
    """Cut off, as it is and repeated."""
    for rows in (0, 1, 40, 200, 333, 1_000):
        assert planted_media(rows=rows).objects == len({one.key for one in media(rows=rows)})


def test_pictures_are_pictures() -> None:
    """Each begins and ends as its kind does."""
    bodies = {one.content_type: one.body for one in media() if one.body}
    with io.BytesIO(bodies["image/png"]) as png:
        assert png.read(8) == b"\x89PNG\r\n\x1a\n"
    assert bodies["image/jpeg"].endswith(b"\xff\xd9")
    assert int.from_bytes(bodies["image/webp"][4:8], "little") + 8 == len(bodies["image/webp"])
    assert b"ftypheic" in bodies["image/heic"]
