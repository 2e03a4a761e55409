"""One object copied inside a real S3 store: what is kept, what is refused, and under which name."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest

from migrator.engine.objects import Pool, inventory, look, try_conditions
from migrator.model.errors import RefusedError
from migrator.model.objects import CopyTask, Evidence, ObjectName, Outcome
from tests.support.objects import Objects, Place, error, happens, let, moto

PART = 5 << 20  # bytes; S3 takes no smaller parts but the last

KEYS = {
    "a user of Auth0": "restorations/auth0|68d1f0/original/5f.heic",
    "spaces": "a b/ c .jpg",
    "a per cent sign": "100%.jpg",
    "encoded": "auth0%7C68d1.jpg",
    "encoded twice": "auth0%257C68d1%253F.jpg",
    "a plus": "a+b.jpg",
    "what ends a URL": "a?b=c&d#e.jpg",
    "accents": "José/ação/Zoë.png",
    "decomposed accents": "Jose\u0301.png",
    "another script": "写真/日本語.webp",
    "beyond the first plane": "😀/👩‍👩‍👧.png",
    # With what stands before them just what may be; a name between slashes has 255 bytes at most in SeaweedFS.
    "1,024 bytes": "/".join(["x" * 99] * 11),
    "1,024 bytes of two each": "/".join(["é" * 99] * 6),
    "quotes": "'a' \"b\" <c>.jpg",
    "brackets": "a[1]{2}(3)^4~5.jpg",
    "a tab": "a\tb.jpg",
    "a dollar": "$a,b;c:d@e=f!g*h.jpg",
    "a dot in front": ".hidden",
    "no name to speak of": "0",
}
# SeaweedFS takes these for paths of files, so that two keys become one.
KEYS_OF_S3_ALONE = {
    "two slashes": "a//b.jpg",
    "a backslash": "a\\b.jpg",
    "a URL": "https://host/restorations/x.jpg",
    "a slash at the end": "folder/",
    "1,024 bytes without a slash": "x" * 1_024,
}


@pytest.fixture(scope="module")
def second() -> Iterator[Objects]:
    """Give the second opinion."""
    with moto() as objects:
        yield objects


class TestKept:
    """What a copy keeps."""

    HEADERS: ClassVar = {
        "ContentType": "image/heic",
        "CacheControl": "max-age=31536000, immutable",
        "ContentDisposition": 'inline; filename="a b.heic"',
        "ContentEncoding": "identity",
        "ContentLanguage": "pt",
        "Metadata": {"who": "auth0|68d1", "note": "a b"},
        "Tagging": "kind=original&paid=yes%20sir",
    }

    def test_an_object_keeps_what_it_is(self, place: Place) -> None:
        """Content, metadata, the headers of HTTP, tags and storage class are those of the source."""
        place.put("a", os.urandom(70_000), **self.HEADERS, StorageClass="STANDARD_IA")
        copied = place.copy_one("a", "b")
        assert (Outcome.COPIED, Evidence.MD5, ()) == (copied.outcome, copied.evidence, copied.left)
        self._alike(place)
        assert "STANDARD_IA" == place.get("b")["StorageClass"]

    def test_an_object_copied_in_parts_keeps_what_it_is(self, place: Place) -> None:
        """The same is true of one that is too large for one request, and nothing of the upload is left."""
        place.put("a", os.urandom(2 * PART + 12_345), **self.HEADERS)
        copied = place.copy_one("a", "b", parts_over=PART, part_bytes=PART)
        assert (Outcome.COPIED, Evidence.READ) == (copied.outcome, copied.evidence)
        assert copied.made
        assert copied.made.etag.endswith("-3")
        self._alike(place)
        assert not place.uploads()

    def _alike(self, place: Place) -> None:
        old, new = place.get("a"), place.get("b")
        told = ("Body", "Metadata", *(one for one in self.HEADERS if one.startswith(("Content", "Cache"))))
        assert {one: old[one] for one in told} == {one: new[one] for one in told}
        tags = [place.client.get_object_tagging(Bucket=place.bucket, Key=place.prefix + one)["TagSet"] for one in "ab"]
        assert 2 == len(tags[0])
        assert tags[0] == tags[1]

    def test_keys_of_every_kind(self, place: Place) -> None:
        """Whatever a key is made of, its object is found and is copied to a key of the same kind."""
        self._keys_of_every_kind(place, list(KEYS.values()))

    def test_keys_of_every_kind_in_the_second_opinion(self, second: Objects) -> None:
        """Moto finds and copies the strangest of them as well, and those that SeaweedFS cannot hold."""
        strange = ("a user of Auth0", "encoded twice", "what ends a URL", "a plus")
        self._keys_of_every_kind(second.place(), [*(KEYS[one] for one in strange), *KEYS_OF_S3_ALONE.values()])

    def _keys_of_every_kind(self, place: Place, keys: list[str]) -> None:
        room = 1_024 - len(place.prefix) - len("b/")
        keys = [key.encode()[:room].decode("utf-8", "ignore") for key in keys]
        for key in keys:
            place.put(f"a/{key}", key.encode())
        done = place.copy(*(place.task(f"a/{key}", f"b/{key}") for key in keys))
        assert {Outcome.COPIED} == {one.outcome for one in done}
        assert {f"{side}/{key}": key.encode() for key in keys for side in "ab"} == place.all()

    def test_the_storage_class_in_the_second_opinion(self, second: Objects) -> None:
        """Moto makes a copy STANDARD unless it is told otherwise, as Amazon does."""
        place = second.place()
        place.put("a", StorageClass="STANDARD_IA")
        assert Outcome.COPIED is place.copy_one("a", "b").outcome
        assert "STANDARD_IA" == place.get("b")["StorageClass"]

    def test_an_empty_object(self, place: Place) -> None:
        """An object without content is an object."""
        place.put("a", b"")
        assert Outcome.COPIED is place.copy_one("a", "b").outcome

    def test_from_bucket_to_bucket(self, objects: Objects, place: Place) -> None:
        """Source and target may be in two buckets."""
        place.put("a")
        target = ObjectName(objects.bucket(), "b")
        (copied,) = place.copy(CopyTask(source=place.name("a"), target=target))
        assert Outcome.COPIED is copied.outcome
        assert {target} == {one.name for one in inventory(objects.store, target.bucket)}

    def test_what_a_listing_told_need_not_be_looked_at(self, objects: Objects, place: Place) -> None:
        """With what a listing knows of the source one request is enough."""
        for number in range(5):
            place.put(f"old/{number}", os.urandom(100))
        listed = list(inventory(objects.store, place.bucket, place.prefix))
        asked = objects.heard()
        tasks = [CopyTask(source=one.name, target=place.name(f"new/{n}"), seen=one) for n, one in enumerate(listed)]
        assert {Outcome.COPIED} == {one.outcome for one in place.copy(*tasks)}
        assert ["PUT"] * 5 == asked


class TestProof:
    """By what a copy is proven."""

    def test_a_checksum_of_the_whole_is_enough(self, place: Place) -> None:
        """Where the store has the SHA-256 or CRC64NVME of both, that decides, and nothing is read."""
        place.put("a", os.urandom(1_000), ChecksumAlgorithm="SHA256")
        place.put("b", place.get("a")["Body"], ChecksumAlgorithm="SHA256")
        copied = place.copy_one("a", "b")
        assert (Outcome.THERE, Evidence.CHECKSUM) == (copied.outcome, copied.evidence)

    def test_a_checksum_joined_from_parts_is_one_of_the_whole(self, objects: Objects, place: Place) -> None:
        """Copied in parts, an object has a CRC64NVME of the whole; a copy of it is proven by that without reading."""
        place.put("a", os.urandom(PART + 10))
        assert Outcome.COPIED is place.copy_one("a", "b", parts_over=PART, part_bytes=PART).outcome
        asked = objects.heard()
        copied = place.copy_one("b", "c", parts_over=PART, part_bytes=PART)
        assert (Outcome.COPIED, Evidence.CHECKSUM) == (copied.outcome, copied.evidence)
        assert "GET" not in asked[asked.index("PUT") :]
        assert place.get("a")["Body"] == place.get("c")["Body"]

    def test_an_etag_of_parts_proves_nothing(self, place: Place) -> None:
        """An object uploaded in parts is read, and so is its copy, whatever their ETags are."""
        place.put_in_parts("a", os.urandom(PART + 10), PART)
        copied = place.copy_one("a", "b")
        assert (Outcome.COPIED, Evidence.READ) == (copied.outcome, copied.evidence)

    def test_equal_etags_of_parts_prove_nothing_either(self, place: Place) -> None:
        """Two objects of one size whose ETags are no MD5 are read, and found different."""
        one, other = os.urandom(PART + 10), os.urandom(PART + 10)
        place.put_in_parts("a", one, PART)
        place.put_in_parts("b", other, PART)
        assert Outcome.OCCUPIED is place.copy_one("a", "b").outcome

    def test_reading_can_be_forbidden(self, place: Place) -> None:
        """Where reading costs too much, the sizes are all there is, and the result says so."""
        place.put_in_parts("a", os.urandom(PART + 10), PART)
        copied = place.copy_one("a", "b", read_to_prove=False)
        assert (Outcome.COPIED, Evidence.SIZE) == (copied.outcome, copied.evidence)

    def test_a_copy_that_is_not_like_its_source_is_removed(self, objects: Objects, place: Place) -> None:
        """A store that copies something else is found out, by name, and nothing of it stays."""
        place.put("a", b"what it is")
        store = objects.store

        def wrong(_: object) -> object:
            etag = place.client.put_object(Bucket=place.bucket, Key=place.prefix + "b", Body=b"what it i$")["ETag"]
            return error("", 200)(_) if not etag else _answer(etag)

        happens(store, "CopyObject", wrong)
        assert Outcome.DIFFERS is place.copy_one("a", "b", store=store).outcome
        assert {"a": b"what it is"} == place.all()


def _answer(etag: str) -> object:
    body = f"<CopyObjectResult><ETag>{etag}</ETag></CopyObjectResult>".encode()
    made = error("", 200)(type("Request", (), {"url": "http://test"}))
    made.raw._body = body
    return made


class TestInTheWay:
    """What is at the target already."""

    def test_another_object_is_never_overwritten(self, place: Place) -> None:
        """An object with other content stays as it is, and the copy is at fault."""
        place.put("a", b"old")
        place.put("b", b"of the application")
        copied = place.copy_one("a", "b")
        assert (Outcome.OCCUPIED, None) == (copied.outcome, copied.made)
        assert {"a": b"old", "b": b"of the application"} == place.all()

    def test_the_same_content_is_there_already(self, place: Place) -> None:
        """An object with the same content is recognised, and not called ours."""
        place.put("a")
        place.put("b")
        assert Outcome.THERE is place.copy_one("a", "b").outcome

    def test_an_object_is_there_already_at_its_own_key(self, place: Place) -> None:
        """Source and target may be the same; there is nothing to do, unless there is no such object."""
        place.put("a")
        assert Outcome.THERE is place.copy_one("a", "a").outcome
        assert Outcome.MISSING is place.copy_one("b", "b").outcome

    def test_what_an_attempt_that_was_killed_made_is_ours(self, objects: Objects, place: Place) -> None:
        """What is younger than an earlier attempt and has the same content was made by it; what is older was not."""
        place.put("a")
        begun = look(objects.store, place.name("a"))
        assert begun
        assert begun.modified
        place.copy_one("a", "b")
        (ours,) = place.copy(place.task("a", "b", since=begun.modified))
        (not_ours,) = place.copy(place.task("a", "b", since=begun.modified + timedelta(minutes=1)))
        assert [Outcome.COPIED, Outcome.THERE] == [ours.outcome, not_ours.outcome]

    def test_a_size_alone_never_makes_an_object_the_same(self, place: Place) -> None:
        """Where nothing may be read, an object of the same size is not taken for the source."""
        for key in "ab":
            place.put_in_parts(key, os.urandom(PART + 10), PART)
        assert Outcome.OCCUPIED is place.copy_one("a", "b", read_to_prove=False).outcome

    def test_a_target_that_changes_while_it_is_compared(self, objects: Objects, place: Place) -> None:
        """What is replaced while it is read is told so."""
        for key in "ab":
            place.put_in_parts(key, b"x" * (PART + 10), PART + int(key == "b"))
        happens(objects.store, "GetObject", lambda _: place.put("a", b"new") and None)
        assert Outcome.REPLACED is place.copy_one("a", "b").outcome

    def test_in_parts_too(self, place: Place) -> None:
        """A large object is not copied at all where another one stands."""
        place.put("a", os.urandom(PART + 10))
        place.put("b", b"of the application")
        assert Outcome.OCCUPIED is place.copy_one("a", "b", parts_over=PART, part_bytes=PART).outcome
        assert b"of the application" == place.get("b")["Body"]

    def test_who_comes_while_parts_are_copied_stays(self, objects: Objects, place: Place) -> None:
        """The last request is refused when somebody else was there first; the parts are given up."""
        place.put("a", os.urandom(PART + 10))
        store = objects.store
        happens(store, "UploadPartCopy", lambda _: None, lambda _: place.put("b", b"first") and None)
        assert Outcome.OCCUPIED is place.copy_one("a", "b", store=store, parts_over=PART, part_bytes=PART).outcome
        assert b"first" == place.get("b")["Body"]
        assert not place.uploads()

    def test_parts_of_an_attempt_that_was_killed_are_given_up(self, objects: Objects, place: Place) -> None:
        """What nobody would ever see, and somebody would pay for, goes with the next attempt."""
        place.put("a", os.urandom(PART + 10))
        now = look(objects.store, place.name("a"))
        assert now
        for key in ("b", "b2"):
            place.client.create_multipart_upload(Bucket=place.bucket, Key=place.prefix + key)
        (copied,) = place.copy(place.task("a", "b", since=now.modified), parts_over=PART, part_bytes=PART)
        assert Outcome.COPIED is copied.outcome
        assert [place.prefix + "b2"] == place.uploads()


class TestConditions:
    """Whether the store refuses what it is told to refuse."""

    def test_a_store_that_keeps_them_passes(self, place: Place) -> None:
        """Nothing of the trial is left, no version either."""
        bucket = place.objects.bucket(versioned=True)
        try_conditions(place.objects.store, bucket)
        assert [] == Place(place.objects, bucket).versions()

    def test_a_store_that_does_not_is_refused(self, second: Objects) -> None:
        """Moto overwrites whatever it is told; nothing of the trial is left there."""
        with pytest.raises(RefusedError, match=r"M264 .*does not refuse"):
            try_conditions(second.store, second.shared)
        assert not [one for one in inventory(second.store, second.shared) if "~migrator" in one.name.key]

    def test_where_they_are_not_kept_one_can_look_first(self, second: Objects) -> None:
        """What is at the target is seen before the copy; then nothing is overwritten, but for who is quick."""
        place = second.place()
        place.put("a", b"old")
        place.put("b", b"of the application")
        assert Outcome.OCCUPIED is place.copy_one("a", "b", look_first=True).outcome
        assert Outcome.COPIED is place.copy_one("a", "c", look_first=True).outcome
        assert b"of the application" == place.get("b")["Body"]


class TestFaults:
    """Objects that cannot be copied, each under its name."""

    def test_missing(self, place: Place) -> None:
        """There is no such object."""
        assert Outcome.MISSING is place.copy_one("a", "b").outcome

    def test_denied(self, objects: Objects) -> None:
        """A policy denies some objects; the others are copied."""
        place = Place(objects, objects.bucket())
        for key in ("secret/a", "open/a"):
            place.put(key)
        _deny(place, "s3:GetObject", "secret/*")
        denied, copied = place.copy(place.task("secret/a", "b"), place.task("open/a", "c"))
        assert [Outcome.DENIED, Outcome.COPIED] == [denied.outcome, copied.outcome]
        assert denied.detail.startswith("AccessDenied")

    def test_denied_at_the_target(self, objects: Objects) -> None:
        """Who may read but not write is told so."""
        place = Place(objects, objects.bucket())
        place.put("a")
        _deny(place, "s3:PutObject", "closed/*")
        assert Outcome.DENIED is place.copy_one("a", "closed/a").outcome

    def test_tags_without_the_right_to_them(self, objects: Objects, place: Place) -> None:
        """Where the store refuses to copy tags, the object comes without, and the result says so."""
        place.put("a", Tagging="a=b")
        store = objects.store
        happens(store, "CopyObject", error("AccessDenied", 403))
        copied = place.copy_one("a", "b", store=store)
        assert (Outcome.COPIED, ("tags",)) == (copied.outcome, copied.left)
        assert [] == place.client.get_object_tagging(Bucket=place.bucket, Key=place.prefix + "b")["TagSet"]

    @pytest.mark.parametrize("large", [False, True])
    def test_replaced_during_the_copy(self, large: bool, objects: Objects, place: Place) -> None:
        """What was written after we looked is not what we copy: nothing is made."""
        place.put("a", b"old" * PART)
        store = objects.store
        operation = "UploadPartCopy" if large else "CopyObject"
        settings = {"parts_over": PART, "part_bytes": PART} if large else {}
        removed: list[str] = []
        let(store, "DeleteObject", lambda request, **_: removed.append(request.url))
        happens(store, operation, lambda _: place.put("a", b"new") and None)
        assert Outcome.REPLACED is place.copy_one("a", "b", store=store, **settings).outcome
        assert {"a": b"new"} == place.all()
        assert not place.uploads()
        assert not removed  # nothing had been made

    def test_deleted_during_the_copy(self, objects: Objects, place: Place) -> None:
        """What was deleted after we looked is missing."""
        name = place.put("a")
        store = objects.store
        gone = {"Bucket": name.bucket, "Key": name.key}
        happens(store, "CopyObject", lambda _: place.client.delete_object(**gone) and None)
        assert Outcome.MISSING is place.copy_one("a", "b", store=store).outcome

    def test_replaced_while_it_is_read(self, objects: Objects, place: Place) -> None:
        """A source that changes before its copy could be proven takes the copy with it."""
        place.put_in_parts("a", os.urandom(PART + 10), PART)
        store = objects.store
        happens(store, "GetObject", lambda _: place.put("a", b"new") and None)
        assert Outcome.REPLACED is place.copy_one("a", "b", store=store).outcome
        assert {"a": b"new"} == place.all()

    def test_too_large(self, place: Place) -> None:
        """What is larger than may be copied is not begun."""
        place.put("a", b"x" * 11)
        copied = place.copy_one("a", "b", largest=10)
        assert (Outcome.TOO_LARGE, "11 bytes") == (copied.outcome, copied.detail)

    @pytest.mark.parametrize("key", ["", "x" * 1_025, "é" * 513, "\ud800"])
    def test_no_name(self, key: str, objects: Objects, place: Place) -> None:
        """What cannot be a key is a fault of its row, at either end."""
        bad, good = ObjectName(place.bucket, key), place.put("a")
        done = [CopyTask(source=bad, target=good), CopyTask(source=good, target=bad)]
        assert {Outcome.NO_NAME} == {one.outcome for one in Pool(objects.store).copy(done)}

    @pytest.mark.parametrize(
        ("code", "status", "outcome"),
        [
            ("InvalidObjectState", 403, Outcome.ARCHIVED),
            ("EntityTooLarge", 400, Outcome.TOO_LARGE),
            ("KeyTooLongError", 400, Outcome.NO_NAME),
            ("InvalidRequest", 400, Outcome.REFUSED),
        ],
    )
    def test_what_the_store_says_of_an_object(
        self, code: str, status: int, outcome: Outcome, objects: Objects, place: Place
    ) -> None:
        """Whatever else S3 may answer about one object is that object's fault, in its words."""
        place.put("a")
        store = objects.store
        happens(store, "CopyObject", error(code, status))
        copied = place.copy_one("a", "b", store=store)
        assert (outcome, f"{code}: said the test") == (copied.outcome, copied.detail)
        assert ["a"] == list(place.all())

    def test_a_conflict_is_tried_again(self, objects: Objects, place: Place) -> None:
        """Somebody else who writes at the same moment is waited for."""
        place.put("a")
        store = objects.store
        happens(store, "CopyObject", error("ConditionalRequestConflict", 409))
        assert Outcome.COPIED is place.copy_one("a", "b", store=store).outcome

    def test_parts_that_fail_are_given_up(self, objects: Objects, place: Place) -> None:
        """After a refusal in the middle of a large object nothing of it is left."""
        place.put("a", os.urandom(PART + 10))
        store = objects.store
        happens(store, "UploadPartCopy", lambda _: None, error("InvalidRequest", 400))
        assert Outcome.REFUSED is place.copy_one("a", "b", store=store, parts_over=PART, part_bytes=PART).outcome
        assert ["a"] == list(place.all())
        assert not place.uploads()


def _deny(place: Place, action: str, keys: str) -> None:
    resource = f"arn:aws:s3:::{place.bucket}/{keys}"
    rule = {"Effect": "Deny", "Principal": "*", "Action": [action], "Resource": [resource]}
    place.client.put_bucket_policy(
        Bucket=place.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    )


class TestRemove:
    """The way back."""

    def test_what_we_made_is_removed(self, objects: Objects, place: Place) -> None:
        """What a copy made goes, and is gone when asked again."""
        place.put("a")
        made = place.copy_one("a", "b").made
        assert made
        pool = Pool(objects.store)
        assert ["removed", "gone already"] == [one.removal.value for _ in range(2) for one in pool.remove([made])]
        assert ["a"] == list(place.all())

    def test_what_somebody_else_wrote_there_stays(self, objects: Objects, place: Place) -> None:
        """An object that was written since is no longer ours."""
        place.put("a")
        made = place.copy_one("a", "b").made
        assert made
        place.put("b", b"of the application")
        (removed,) = Pool(objects.store).remove([made])
        assert "no longer ours" == removed.removal.value
        assert b"of the application" == place.get("b")["Body"]

    def test_the_store_compares_as_it_deletes(self, objects: Objects, place: Place) -> None:
        """What is written between our look and the removal stays."""
        place.put("a")
        made = place.copy_one("a", "b").made
        assert made
        store = objects.store
        happens(store, "DeleteObject", lambda _: place.put("b", b"just now") and None)
        (removed,) = Pool(store).remove([made])
        assert "no longer ours" == removed.removal.value
        assert b"just now" == place.get("b")["Body"]

    def test_versions_are_as_before(self, objects: Objects) -> None:
        """Where versions are kept, ours is taken out and no mark is left; what was deleted before is deleted still."""
        place = Place(objects, objects.bucket(versioned=True))
        place.put("a")
        place.put("b", b"long ago")
        place.client.delete_object(Bucket=place.bucket, Key="b")
        before = place.versions()
        made = place.copy_one("a", "b").made
        assert made
        assert before != place.versions()
        (removed,) = Pool(objects.store).remove([made])
        assert "removed" == removed.removal.value
        assert before == place.versions()

    def test_a_version_above_ours_keeps_it(self, objects: Objects) -> None:
        """A newer version makes the object somebody else's, also with the same content."""
        place = Place(objects, objects.bucket(versioned=True))
        place.put("a")
        made = place.copy_one("a", "b").made
        assert made
        place.put("b")
        (removed,) = Pool(objects.store).remove([made])
        assert "no longer ours" == removed.removal.value
        assert 3 == len(place.versions())

    def test_the_digest_of_what_was_made_is_known(self, place: Place) -> None:
        """What is recorded of a copy is enough to know it again."""
        body = os.urandom(100)
        place.put("a", body)
        made = place.copy_one("a", "b").made
        assert made
        assert hashlib.md5(body).hexdigest() == made.etag == made.digest  # noqa: S324 what S3 calls an ETag
        assert not replace(made, etag=f"{made.etag}-2").digest


class TestInventory:
    """Listing."""

    @pytest.mark.parametrize("opinion", ["seaweed", "moto"])
    def test_every_object_is_listed_once(
        self, opinion: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Over many pages every object comes once, also where one key is the beginning of another."""
        monkeypatch.setattr(sys.modules["migrator.engine.objects.inventory"], "PAGE", 3)
        place = request.getfixturevalue("objects" if opinion == "seaweed" else "second").place()
        keys = ["a", "a/b", "a/b/c", "a-b", "a.b", "b", "ä ö", "c%2Fd", "c/d", "e+f"]
        for key in keys:
            place.put(key, key.encode())
        listed = list(inventory(place.objects.store, place.bucket, place.prefix))
        assert sorted((place.prefix + key, len(key.encode())) for key in keys) == sorted(
            (one.name.key, one.size) for one in listed
        )
        assert {hashlib.md5(key.encode()).hexdigest() for key in keys} == {one.etag for one in listed}  # noqa: S324
