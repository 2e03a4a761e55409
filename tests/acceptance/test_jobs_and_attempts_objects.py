"""The traps of guide 000 that are about objects, each by its id: keys that lead nowhere, pictures left behind.

The guide says where objects are to be and moves none; what a quick script makes of that is tried beside ours, on the
same store.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest

from migrator.demo import buckets
from migrator.demo.jobs_and_attempts import build_new_application_rows, planted, planted_media
from migrator.demo.jobs_and_attempts.fates import ATTEMPTS, JOBS, NO_OBJECT, fates
from migrator.demo.jobs_and_attempts.ids import job_id, picture_id
from migrator.demo.jobs_and_attempts.media import (
    REALLY,
    TAKEN,
    WITHOUT_ORIGINAL,
    copy_of_original,
)
from migrator.demo.jobs_and_attempts.mix import FORMS, LIVE, MIX, PRESIGNED
from migrator.model.errors import RefusedError
from migrator.workflow import objects_deletion, objects_meta, objects_orphans, use_cases
from migrator.workflow.objects_deletion import Wanted
from migrator.workflow.objects_orphans import Asked
from tests.support.guide_000 import run_migration, run_rollback
from tests.support.media import copied_by_a_script, desk_with, filled, in_bucket, probed, settle, unanswered
from tests.support.projects import back, execute, rows_of, silent, terms
from tests.support.restoration import expanded, id_of, scalar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.databases import Databases
    from tests.support.objects import Objects

    Copies = Callable[[str, Callable[[str], object]], str]

EXPECTED = planted_media()
PLACE = {one.number: place for place, one in enumerate(MIX)}
MOVED_KEYS = """
    SELECT job_id::text, s3_key FROM restore_attempts JOIN restoration_jobs AS old ON old.id = job_id
    WHERE s3_key NOT IN ('failed', 'pending', '')"""
OURS = "SELECT job_id::text FROM restore_attempts JOIN restoration_jobs AS old ON old.id = job_id"


class Moved(NamedTuple):
    """A database after the whole change with its objects, and its bucket before and after."""

    url: str
    bucket: str
    before: dict[str, buckets.Held]
    after: dict[str, buckets.Held]

    @property
    def made(self) -> dict[str, buckets.Held]:
        """What is in the bucket now and was not."""
        return {key: one for key, one in self.after.items() if key not in self.before}


@pytest.fixture(scope="module")
def moved(databases: Databases, objects: Objects):
    """Move rows and objects once; no test writes to either."""
    bucket = objects.bucket()
    before = filled(objects, bucket)
    with databases.fresh(databases.template("jobs_and_attempts expanded", expanded)) as url:
        with closing(psycopg.connect(in_bucket(url, bucket))) as conn, conn:
            build_new_application_rows(conn)
        settle(desk_with(url, objects, bucket))
        yield Moved(url, bucket, before, buckets.contents(objects.store, bucket))


@pytest.fixture
def legacy(database_from: Copies) -> str:
    """Give a copy of the legacy database with empty new tables."""
    return database_from("jobs_and_attempts expanded", expanded)


@pytest.fixture
def guided(database_from: Copies) -> str:
    """Give a copy of the database after the guide's own SQL."""

    def build(url: str) -> None:
        expanded(url)
        run_migration(url)

    return database_from("jobs_and_attempts by the guide", build)


def keys_of(url: str) -> dict[str, str]:
    """Give the keys of finished pictures by the id of their job."""
    return dict(rows_of(url, MOVED_KEYS))


def test_r_t7_the_key_of_every_row_answers(guided: str, moved: Moved, objects: Objects) -> None:
    """What the guide stores as a key answers where it happened to be one; ours is, each, what the old URL led to."""
    theirs = list(keys_of(guided).values())
    gone = unanswered(objects, moved.bucket, theirs)
    assert all("://" not in key for key in set(theirs) - set(gone))
    assert len(gone) > len(theirs) * 0.8

    ours = keys_of(moved.url)
    assert fates(objects=True)[ATTEMPTS].keys["picture"] == len(ours)
    assert [] == unanswered(objects, moved.bucket, ours.values())
    ids = dict(rows_of(moved.url, "SELECT job_id::text, id::text FROM restore_attempts"))
    assert {job: f"restored/{job}/{ids[job]}.jpg" for job in ours} == ours
    were = {job_id(n): one.key.replace("#", picture_id(n, "processed")) for n, one in enumerate(MIX)}
    assert {job: moved.before[were[job]] for job in ours} == {job: moved.after[key] for job, key in ours.items()}


def test_r_t8_signed_and_escaped_urls_lead_to_the_same_objects(guided: str, moved: Moved, objects: Objects) -> None:
    """Signatures and escapes become keys with the guide, and nothing answers; ours fit the shortest column too."""
    odd = [number for number in PLACE if FORMS[number % 8].startswith("encoded") or number in PRESIGNED]
    jobs = {id_of(number) for number in odd}
    theirs = {job: key for job, key in keys_of(guided).items() if job in jobs}
    assert len(theirs) > planted().presigned + planted().encoded_twice
    assert sorted(theirs.values()) == sorted(unanswered(objects, moved.bucket, theirs.values()))
    ours = {job: key for job, key in keys_of(moved.url).items() if job in jobs}
    assert len(ours) > planted().presigned + planted().encoded_twice
    assert [] == unanswered(objects, moved.bucket, ours.values())
    assert max(map(len, ours.values())) < 100


def test_r_t10_the_new_application_finds_the_original(guided: str, moved: Moved) -> None:
    """With the guide no job can be restored again, for nothing is at its key; ours all can, by what the picture is."""
    jobs = [job for (job,) in rows_of(guided, "SELECT id::text FROM jobs")]
    there = {job for job in jobs if probed(set(moved.before), job)}
    assert there == {id_of(number) for number in (LIVE, *TAKEN)}  # by hand

    keys = set(moved.after)
    ours = {job: probed(keys, job) for (job,) in rows_of(moved.url, OURS)}
    assert fates(objects=True)[ATTEMPTS].moved == len(ours)
    wanted = {job_id(place): copy_of_original(one, place) for place, one in enumerate(MIX)}
    assert {job: wanted[job] for job in ours} == ours
    original = dict(rows_of(moved.url, "SELECT job_id::text, params ->> 'original_s3_key' FROM restore_attempts"
                            " WHERE model = 'comfyui_legacy'"))  # fmt: skip
    for job, key in ours.items():
        assert moved.after[key].etag == moved.before[original[job]].etag
        if job != id_of(LIVE):
            assert moved.after[key] == moved.before[original[job]]


def test_r_t15_copies_are_encoded_idempotent_and_named_by_what_they_are(
    legacy: str, objects: Objects, moved: Moved
) -> None:
    """A script that takes URLs at their word misses keys, overwrites one and lies of types; ours does none of that."""
    theirs = objects.bucket()
    before = filled(objects, theirs)
    wrong = copied_by_a_script(objects, theirs, in_bucket(legacy, theirs))
    escaped = {id_of(number) for number in PLACE if FORMS[number % 8].startswith("encoded")}
    bars = {job for job, user in rows_of(legacy, "SELECT id::text, user_id FROM restoration_jobs") if "|" in user}
    assert escaped & bars <= wrong.keys()  # %7C and %257C are no bars
    assert set(wrong.values()) == {"NoSuchKey"}
    assert set(wrong) > {id_of(number) for number in WITHOUT_ORIGINAL}
    now = buckets.contents(objects.store, theirs)
    taken = {copy_of_original(MIX[PLACE[number]], PLACE[number]) for number in TAKEN}
    assert taken <= {key for key in before if before[key] != now[key]}  # what was there is lost
    for number, kind in REALLY.items():
        assert id_of(number) in wrong or kind.replace("jpeg", "jpg") not in str(probed(set(now), id_of(number)))

    # Ours: everything that was there is there, and what was made is what rows need.
    assert moved.before == {key: moved.after[key] for key in moved.before}
    without = fates()[ATTEMPTS]
    wanted = {
        "restored": without.keys["picture"] - EXPECTED.without_picture,
        "processed": without.moved - EXPECTED.without_original - EXPECTED.taken - EXPECTED.there_already,
    }
    assert wanted == Counter(key.partition("/")[0] for key in moved.made)
    # A second apply makes, changes and asks for no object.
    desk = desk_with(moved.url, objects, moved.bucket)
    assert use_cases.apply(desk, listen=silent).nothing_done
    assert moved.after == buckets.contents(objects.store, moved.bucket)


THEIR_KEY = "restored/{job}/20251124_081000_000000.jpg"
NEW_JOB = "00000000-0000-4000-8000-0000000000aa"
NEW_ROWS = """
INSERT INTO restore_attempts (id, job_id, s3_key, model) VALUES
    ('00000000-0000-4000-8000-00000000000b', '{first}', '{key}', 'comfyui_v2');
UPDATE restore_attempts SET params = params || '{{"liked": true}}' WHERE job_id = '{liked}'
"""


def test_r_t13_objects_go_back_with_their_rows_and_those_of_the_application_stay(
    guided: str, legacy: str, objects: Objects, tmp_path: Path
) -> None:
    """The guide's rollback leaves objects that nothing names; ours removes its copies, and nothing anybody needs."""
    bucket = objects.bucket()
    before = filled(objects, bucket)
    desk = desk_with(in_bucket(legacy, bucket), objects, bucket)
    settle(desk)
    first, liked, again = id_of(1), id_of(2), id_of(3)
    theirs = THEIR_KEY.format(job=first)
    objects.client.put_object(Bucket=bucket, Key=theirs, Body=b"a new picture", ContentType="image/jpeg")
    for url in (guided, legacy):
        execute(url, NEW_ROWS.format(first=first, liked=liked, key=theirs))
    run_rollback(guided)
    assert [(None,)] == rows_of(guided, "SELECT to_regclass('jobs')")
    assert [] == unanswered(objects, bucket, [theirs])  # and no row says so any more

    # A job that only the new application has: its photo stands where the application looks for it, so it is no orphan.
    execute(legacy, f"INSERT INTO jobs (id, email) VALUES ('{NEW_JOB}', 'late@example.org')")
    nobodys = NEW_JOB.replace("a", "b")
    objects.client.put_object(Bucket=bucket, Key=f"processed/{NEW_JOB}.jpg", Body=b"a new photo")
    objects.client.put_object(Bucket=bucket, Key=f"processed/{nobodys}.jpg", Body=b"a photo of no job")
    told = objects_orphans.orphans(desk, Asked(), listen=silent)
    assert [f"processed/{nobodys}.jpg"] == [one.key for one in told.examples]
    assert "H187" in [one.id for one in told.hazards]
    wanted = Wanted(asked=Asked(older_than=timedelta(days=30)), typed=bucket, manifest=tmp_path / "gone.jsonl")
    with pytest.raises(RefusedError, match="M297") as refused:
        objects_deletion.delete(desk, wanted, listen=silent)
    assert "--prefix restored/" in refused.value.cure

    # Somebody uploads a job's photo again, under the key that we have made.
    uploaded = copy_of_original(MIX[PLACE[3]], PLACE[3])
    assert again in uploaded
    objects.client.put_object(Bucket=bucket, Key=uploaded, Body=b"the photo, better", ContentType="image/jpeg")
    with_ours = buckets.contents(objects.store, bucket)
    used = scalar(legacy, "SELECT s3_key FROM restore_attempts WHERE params ->> 'liked' = 'true'")
    assert used in with_ours
    with pytest.raises(RefusedError, match="M412"):
        back(desk)
    assert with_ours == buckets.contents(objects.store, bucket)
    report = back(desk, keep_new=True)
    now = buckets.contents(objects.store, bucket)
    left = {key: one for key, one in now.items() if key not in before}
    assert before == {key: now[key] for key in before}
    # The row that somebody liked is the application's now, with all its objects.
    new = {theirs, f"processed/{NEW_JOB}.jpg", f"processed/{nobodys}.jpg"}
    assert {*new, uploaded, used, copy_of_original(MIX[PLACE[2]], PLACE[2])} == set(left)
    assert all(any(key in said for said in report.notes) for key in set(left) - new)
    assert left[uploaded].size == len(b"the photo, better")
    assert {used, theirs} == {key for (key,) in rows_of(legacy, "SELECT s3_key FROM restore_attempts")}


def test_the_wish_may_come_later_and_go_again(legacy: str, objects: Objects) -> None:
    """Rows move with their old keys; with copy_objects they get new ones, without it the old ones; then all go back."""
    bucket = objects.bucket()
    before = filled(objects, bucket)
    in_bucket(legacy, bucket)
    without, wanted = (desk_with(legacy, objects, bucket, copy_objects=one) for one in ("false", "true"))
    use_cases.apply(without, listen=silent)
    assert before == buckets.contents(objects.store, bucket)
    old = keys_of(legacy)
    assert fates()[ATTEMPTS].keys["picture"] == len(old)
    report = use_cases.apply(wanted, listen=silent)
    assert [0] * len(report.balances) == [one.unaccounted for one in report.balances]
    new = keys_of(legacy)
    assert fates(objects=True)[ATTEMPTS].keys["picture"] == sum(key.startswith("restored/") for key in new.values())
    assert [] == unanswered(objects, bucket, (key for key in new.values() if key.startswith("restored/")))
    (written,) = objects_meta.meta(wanted, listen=silent)
    documents = [key for key in buckets.listed(objects.store, bucket) if key.startswith("meta/")]
    assert fates(objects=True)[JOBS].moved == written.documents == len(documents)
    said = objects.client.get_object(Bucket=bucket, Key=f"meta/{id_of(2)}.json")["Body"].read().decode()
    assert {"job_id", "created_at", "denoise", "megapixels", "legacy_status"} == set(json.loads(said))
    use_cases.apply(without, listen=silent)
    assert old == keys_of(legacy)
    back(without)
    assert before == buckets.contents(objects.store, bucket)


def test_a_bucket_that_the_url_names_is_where_the_object_is_taken_from(legacy: str, objects: Objects) -> None:
    """URLs of S3 lead to their own bucket, all others to that of [s3], which is where every copy goes."""
    old, new = objects.bucket(), objects.bucket()
    before = filled(objects, old)
    for key in [one for one in before if one.startswith("processed/")]:  # those tried by hand are in the new one
        objects.client.delete_object(Bucket=old, Key=key)
    filled(objects, new)
    for number in (8, 12):  # one by the CDN, one by its bucket
        assert FORMS[number % 8] in {"cloudfront", "s3"}
    # One picture is in the other bucket alone: it is not looked for there.
    gone = {8: new, 12: old}
    for number, bucket in gone.items():
        key = MIX[PLACE[number]].key.replace("#", picture_id(PLACE[number], "processed"))
        objects.client.delete_object(Bucket=bucket, Key=key)
    # Whatever rows say: no bucket, and no name for one, stop nothing but these rows.
    nowhere = {4: "s3://nowhere-to-be-found/k.jpg", 14: "s3://No Bucket!/k.jpg"}
    # Keys that hold an escape themselves: one as it stands, one encoded as in any URL, and one that could be either.
    escapes = {1: "old/100%25.jpg", 2: f"https://{old}.s3.amazonaws.com/old/50%2525.jpg", 3: "old/7%25.jpg"}
    for bucket, key in ((new, "old/100%25.jpg"), (old, "old/50%25.jpg"), (new, "old/7%25.jpg"), (new, "old/7%.jpg")):
        objects.client.put_object(Bucket=bucket, Key=key, Body=key.encode(), ContentType="image/jpeg")
    for number, url in {**nowhere, **escapes}.items():
        execute(legacy, f"UPDATE restoration_jobs SET processed_image_url = '{url}' WHERE id = '{id_of(number)}'")
    desk = desk_with(in_bucket(legacy, old), objects, new)
    use_cases.apply(desk, listen=silent)
    waits = terms(desk, ATTEMPTS)
    assert EXPECTED.without_picture + len(gone) + 1 == waits["quarantined", NO_OBJECT]
    assert 1 == waits["quarantined", "picture: refused by the store"]
    made, taken = keys_of(legacy), ("old/100%25.jpg", "old/50%25.jpg", "old/7%.jpg")
    for number, key in zip(escapes, taken, strict=True):
        copy = objects.client.get_object(Bucket=new, Key=made[id_of(number)])["Body"].read()
        assert key == copy.decode()
    at_old = buckets.contents(objects.store, old)
    assert not [key for key in at_old if key.startswith(("restored/", "processed/"))]
    back(desk)
    assert at_old == buckets.contents(objects.store, old)
