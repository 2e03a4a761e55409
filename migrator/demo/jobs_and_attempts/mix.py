"""The 200 kinds of restoration that every repeat of the old table consists of, each said in plain values.

The SQL beside this file only adds what differs from repeat to repeat: the id, and a name for each picture in the place
of `#`. So everything that is true of the rows can be counted here, without asking a database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
NEWEST: Final = 60 * DAY

STATUSES: Final = {"completed": 140, "failed": 25, "processing": 15, "pending": 20}
#: Subjects of logins, and the address that the identity map has for them; one nobody knows any more.
SUBJECTS: Final = {
    "auth0|68d1f00d0000000000000a01": "anna@example.org",
    "auth0|68d1f00d0000000000000b02": "Bruno.Silva@Example.org",
    "google-oauth2|104300000000000000002": "bruno.silva@example.org",
    "google-oauth2|104300000000000000003": "carla@example.org",
    "apple|000123.0a1b2c3d4e5f.0001": "dora@privaterelay.example",
    "auth0|68d1f00d0000000000000e05": None,
    "test_user_123": "qa+123@example.org",
    "user1": "user.one@example.org",
    "other_user": "other@example.org",
    "auth0|68d1f00d0000000000000f09": "  Eva@Example.org ",
    "google-oauth2|104300000000000000010": "josé@exemplo.pt",
    "auth0|68d1f00d0000000000001011": "a.very.long.name.indeed" + ".and.longer" * 20 + "@example.org",
}
ENDINGS: Final = ("jpg", "png", "heic", "webp")
ERRORS: Final = (
    "S3 download failed",
    "ComfyUI processing failed",
    "S3 upload failed",
    "Could not extract S3 key from URL: https://test.cloudfront.net/original/test.jpg",
    "Traceback (most recent call last):\n  100% of :nothing, 'quoted' and \"quoted\" %s",
)
BUCKET: Final = "rekindle-media"
PRESIGNED_LENGTH: Final = 1_600
#: The eight forms in which a key was stored.
FORMS: Final = (
    "cloudfront",
    "bucket in the host",
    "bucket in the host, no region",
    "bucket in the path",
    "s3",
    "key alone",
    "encoded",
    "encoded twice",
)
CLOUDFRONT = "https://d2rekindle0abcd.cloudfront.net/"
#: What rows of tests share; the host is that of a test.
TEST_KEY: Final = "original/test.jpg"
REGIONAL = f"https://{BUCKET}.s3.us-east-2.amazonaws.com/"

# By the number of a row in the order of STATUSES; none of them belongs to the user whom nobody knows.
LIVE: Final = 0
NO_CREATED: Final = frozenset({10, 20, 30, 141, 181})
NO_DATE: Final = 181
NO_UPDATED: Final = frozenset({11, 21, 31, 42, 51})
PRESIGNED: Final = frozenset({99, 100})
EMPTY: Final = frozenset({102, 103, 104})
FAILED_WITH_PICTURE: Final = frozenset({150, 151})
RUNNING_WITH_PICTURE: Final = frozenset({166})
STALE: Final = frozenset(range(165, 175))
#: Names of finished pictures that somebody gave by hand; `#` is the picture's name here too.
BY_HAND: Final = {
    94: "Mãe à praia, été #.jpg",
    95: "100% restored #.jpg",
    96: "a+b & c #.jpg",
    97: "家族 写真 #.jpg",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Restoration:
    """What one row of `restoration_jobs` looks like; seconds are counted from the first day of the table."""

    number: int
    status: str
    subject: str
    original_image_url: str
    processed_image_url: str | None
    denoise: float
    error_message: str | None
    created: int | None
    updated: int | None

    @property
    def address(self) -> str | None:
        """What the identity map says of its user."""
        return SUBJECTS[self.subject]

    @property
    def dated(self) -> bool:
        """Whether somebody recorded when it was made, or changed."""
        return self.created is not None or self.updated is not None

    @property
    def key(self) -> str:
        """The key of its finished picture, with `#` for the picture's name."""
        return f"restorations/{self.subject}/processed/{BY_HAND.get(self.number, '#.jpg')}"

    @property
    def original_key(self) -> str:
        """The key of its original picture; tests share one."""
        if self.number in NO_UPDATED:
            return TEST_KEY
        return f"restorations/{self.subject}/original/#.{ENDINGS[self.number % len(ENDINGS)]}"


def address(form: str, key: str) -> str:
    """Write a key in one of the forms in which it was stored."""
    encoded = quote(key, safe="/#")
    return {
        "cloudfront": f"{CLOUDFRONT}{key}",
        "bucket in the host": f"{REGIONAL}{key}",
        "bucket in the host, no region": f"https://{BUCKET}.s3.amazonaws.com/{key}",
        "bucket in the path": f"https://s3.us-east-1.amazonaws.com/{BUCKET}/{key}",
        "s3": f"s3://{BUCKET}/{key}",
        "key alone": key,
        "encoded": f"{CLOUDFRONT}{encoded}",
        # A signature, too, was taken for a part of the key.
        "encoded twice": f"{REGIONAL}{quote(f'{encoded}%3FX-Amz-Expires%3D3600', safe='/#')}",
        "presigned": f"{REGIONAL}{encoded}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=604800&X-Amz-Signature=",
    }[form]


def _restoration(number: int) -> Restoration:
    status = next(word for word, end in _ends() if number < end)
    subject = tuple(SUBJECTS)[number % len(SUBJECTS)]
    created, updated = _moments(number, status)
    bare = Restoration(
        number=number,
        status=status,
        subject=subject,
        original_image_url="",
        processed_image_url=None,
        denoise=(number * 7 % 21) / 20,
        error_message=ERRORS[number % len(ERRORS)] if status == "failed" else None,
        created=created,
        updated=updated,
    )
    form = FORMS[number % len(FORMS)]
    of_test = f"https://test.cloudfront.net/{TEST_KEY}"
    original = of_test if number in NO_UPDATED else address(form, bare.original_key)
    return _with(bare, original, _processed(bare, form))


def _with(one: Restoration, original: str, processed: str | None) -> Restoration:
    values = {name: getattr(one, name) for name in one.__slots__}
    return Restoration(**{**values, "original_image_url": original, "processed_image_url": processed})


def _processed(one: Restoration, form: str) -> str | None:
    if one.number in EMPTY:
        return ""
    if one.number in PRESIGNED:
        # Of the picture's name stand 36 characters in the place of one.
        return address("presigned", one.key).ljust(PRESIGNED_LENGTH - 35, "0")
    named = one.status == "completed" or one.number in FAILED_WITH_PICTURE | RUNNING_WITH_PICTURE
    return address(form, one.key) if named else None


def _moments(number: int, status: str) -> tuple[int | None, int | None]:
    """Say when a row was made and changed: those that run are young, but for the stale ones."""
    young = status in {"processing", "pending"} and number not in STALE
    made = NEWEST - number % 10 * HOUR if young else number * 7919 % 50 * DAY + number * 613 % DAY
    changed = None if status == "pending" or number in NO_UPDATED else made + 20 + number % 60
    return None if number in NO_CREATED else made, changed


def _ends() -> list[tuple[str, int]]:
    ends, sofar = [], 0
    for word, rows in STATUSES.items():
        sofar += rows
        ends.append((word, sofar))
    return ends


#: In an order that has some of every kind from the beginning.
MIX: Final = tuple(_restoration(place * 63 % 200) for place in range(200))
