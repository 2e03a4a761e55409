"""The bucket of the photo restoration: the pictures that its rows name, and what had got into it and out of it.

Every object follows from the kinds of rows in `mix.py` alone, so what is in the bucket is known without asking a store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from migrator.demo.buckets import Media
from migrator.demo.jobs_and_attempts import ids
from migrator.demo.jobs_and_attempts.mix import (
    BY_HAND,
    EMPTY,
    FAILED_WITH_PICTURE,
    LIVE,
    MIX,
    NO_UPDATED,
    RUNNING_WITH_PICTURE,
    TEST_KEY,
    Restoration,
)
from migrator.demo.jobs_and_attempts.pictures import picture
from migrator.demo.jobs_and_attempts.planted import count, row_count

# By the number of a row, as in `mix.py`; none of them belongs to the user whom nobody knows.
#: A clean-up removed the finished picture.
WITHOUT_PICTURE: Final = frozenset({60, 62, 63})
#: The upload never came, or was removed.
WITHOUT_ORIGINAL: Final = frozenset({72, 182, 190})
#: The upload of the finished picture broke off: an object without content.
BROKEN_OFF: Final = frozenset({74})
#: Somebody has tried the new layout by hand, with another picture.
TAKEN: Final = frozenset({84})
#: What the original really is, where the ending of its key says otherwise.
REALLY: Final = {86: "image/jpeg", 87: "image/png", 88: "image/heic", 90: "image/webp"}
#: Written by a script that told the store no content type.
UNTOLD: Final = frozenset({91, 92})

#: What Amazon S3 says of an object whose content type nobody told.
SAYS_NOTHING: Final = "binary/octet-stream"

TYPES: Final = {"jpg": "image/jpeg", "png": "image/png", "heic": "image/heic", "webp": "image/webp"}
ENDINGS: Final = {kind: ending for ending, kind in TYPES.items()}
#: What belongs to no row, of the old application or the new one.
STRANGERS: Final = ("restorations/user1/processed/never-saved.jpg", "thumbnails/preview of a page.jpg")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedMedia:
    """What was planted in the bucket, by everything that is wrong or special with it; the rows that it is about."""

    objects: int
    without_picture: int
    without_original: int
    broken_off: int
    there_already: int
    taken: int
    ending_belies: int
    untold: int
    named_by_hand: int
    of_tests: int
    of_nobody: int


def has_picture(one: Restoration) -> bool:
    """Tell whether the finished picture of a row is in the bucket."""
    named = one.status == "completed" and one.number not in EMPTY
    return (named or one.number in FAILED_WITH_PICTURE | RUNNING_WITH_PICTURE) and one.number not in WITHOUT_PICTURE


def original_type(one: Restoration) -> str:
    """Say what an original really is."""
    return REALLY.get(one.number, TYPES[one.original_key.rpartition(".")[2]])


def copy_of_original(one: Restoration, place: int, *, seed: int = 1) -> str:
    """Say where the new application looks for the original of a row: its ending says what it is, not its old key."""
    return f"processed/{ids.job_id(place, seed=seed)}.{ENDINGS[original_type(one)]}"


def media(*, scale: int = 1, rows: int | None = None, seed: int = 1) -> Iterator[Media]:
    """Give every object of the bucket, for the rows that `build_legacy` with the same numbers makes."""
    number = row_count(scale=scale, rows=rows)
    if any(one.number in NO_UPDATED for one in MIX[:number]):
        yield Media(key=TEST_KEY, body=picture("image/jpeg", TEST_KEY), content_type="image/jpeg")
    for place in range(number):
        yield from _of_row(MIX[place % len(MIX)], place, seed)
    for key in STRANGERS:
        yield Media(key=key, body=picture("image/jpeg", key), content_type="image/jpeg")


def _of_row(one: Restoration, place: int, seed: int) -> Iterator[Media]:
    original = _original(one, place, seed)
    if one.number not in NO_UPDATED | WITHOUT_ORIGINAL:
        yield original
    if one.number in {LIVE, *TAKEN}:
        copied = original.body if one.number == LIVE else picture("image/jpeg", f"somebody else's {place}")
        yield Media(key=copy_of_original(one, place, seed=seed), body=copied, content_type=original.content_type)
    if has_picture(one):
        key = one.key.replace("#", ids.picture_id(place, "processed", seed=seed))
        yield Media(
            key=key,
            body=b"" if one.number in BROKEN_OFF else picture("image/jpeg", key),
            content_type="image/jpeg",
            metadata={"denoise": f"{one.denoise}", "megapixels": "1.0"},
            cache_control="public, max-age=31536000",
        )


def _original(one: Restoration, place: int, seed: int) -> Media:
    key = one.original_key.replace("#", ids.picture_id(place, "original", seed=seed))
    kind = original_type(one)
    return Media(
        key=key,
        body=picture(kind, key),
        content_type=SAYS_NOTHING if one.number in UNTOLD else kind,
        metadata={"uploaded-by": one.subject, "file-name": f"scan {one.number}.{key.rpartition('.')[2]}"},
    )


def planted_media(scale: int = 1, *, rows: int | None = None) -> PlantedMedia:
    """Return what `media` with the same scale or rows plants."""
    number = row_count(scale=scale, rows=rows)

    def among(numbers: frozenset[int]) -> int:
        return count(number, lambda one: one.number in numbers)

    originals = number - among(NO_UPDATED | WITHOUT_ORIGINAL)
    of_tests = among(NO_UPDATED)
    pictures = count(number, has_picture)
    return PlantedMedia(
        objects=originals + pictures + among(frozenset({LIVE}) | TAKEN) + bool(of_tests) + len(STRANGERS),
        without_picture=among(WITHOUT_PICTURE),
        without_original=among(WITHOUT_ORIGINAL),
        broken_off=among(BROKEN_OFF),
        there_already=among(frozenset({LIVE})),
        taken=among(TAKEN),
        ending_belies=among(frozenset(REALLY)),
        untold=among(UNTOLD),
        named_by_hand=among(frozenset(BY_HAND)),
        of_tests=of_tests,
        of_nobody=count(number, lambda one: one.address is None),
    )
