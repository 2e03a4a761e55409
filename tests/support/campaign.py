"""A campaign: rows that name objects by every form of key and URL there is, some of which are at fault on purpose."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import psycopg
import pytest

from migrator.engine.objects import Store
from migrator.ledger.quarantine import Selection
from migrator.model.step import Report, State
from migrator.workflow import undoing, use_cases
from migrator.workflow.desk import Desk, open_desk
from migrator.workflow.housekeeping import quarantine_retry
from tests.support.objects import Place, error, let
from tests.support.projects import CHANGE, MOVE, execute, fates, make_project, rows_of, silent

ROOT = Path(__file__).resolve().parents[2]
THREADS = 8
LONGEST = 1_024  # bytes of a key
TARGET = "CREATE TABLE new (id text PRIMARY KEY, s3_key text NOT NULL)"
# The key is found as the documented change finds it.
DEFINITION = """
from ._restoration import PROCESSED_KEY

backfill = Backfill(
    source="old", key="id", target="new", identity="id",
    objects={{"picture": moved_object(PROCESSED_KEY, to={to!r})}},
    columns={{"id": column("id"), "s3_key": object_key("picture")}},
)
"""
IDS = (
    "{}",
    "{}|a|b",
    "a {} c",
    "{}% off",
    "{}+1",
    "größe {}",
    "漢字 {} \N{FROG FACE}",
    'it\'s "{}"',
    "{}&b=c;d",
    "a/{}/z",
)
KEYS = (
    "{}.png", "a|{}|b.jpg", "with space {}.jpg", "{} 50% off.png", "a+b {}.webp", "grün/漢字 {}.jpg",
    "{}~!*'();@&=,.mp4", "IMG {}.HEIC", "deep/er/and/deeper/{}", "{}" + "/long" * 200,
)  # fmt: skip
TYPES = (
    ("image/jpeg", ".jpg"), ("image/png", ".png"), ("image/heic", ".heic"), ("image/webp", ".webp"),
    ("video/mp4", ".mp4"), ("binary/octet-stream", None), ("image/jpeg; charset=binary", ".jpg"),
)  # fmt: skip
FAULTS = {"missing": "object missing", "denied": "access denied", "replaced": "replaced during the copy"}


@dataclass(frozen=True, kw_only=True)
class Item:
    """A row and the object that it names. `fault` is the planted one, if any."""

    id: str
    said: str
    key: str
    body: bytes
    content_type: str
    extension: str
    fault: str = ""

    def target(self, prefix: str) -> str:
        """Say where its copy must be."""
        return f"{prefix}restored/{self.id}{self.extension}"


@dataclass(kw_only=True)
class Campaign:
    """Rows and objects of one campaign, and what the store does to those at fault while it is on."""

    url: str
    place: Place
    path: Path
    items: tuple[Item, ...]
    armed: bool = True
    hurt: Counter[str] = field(default_factory=Counter)

    @classmethod
    def make(
        cls, path: Path, url: str, place: Place, chance: random.Random, *, count: int, faults: Mapping[str, int]
    ) -> Campaign:
        """Draw the rows, write them and their objects, and the project that moves them."""
        planted = [name for name, number in faults.items() for _ in range(number)]
        planted += [""] * (count - len(planted))
        chance.shuffle(planted)
        items = tuple(_item(place, chance, number, fault) for number, fault in enumerate(planted))
        made = cls(url=url, place=place, path=path, items=items)
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(made._put, [one for one in items if one.fault != "missing"]))
        execute(url, "CREATE TABLE old (id text PRIMARY KEY, processed_image_url text)")
        with closing(psycopg.connect(url, autocommit=True)) as conn, conn.cursor() as cursor:
            with cursor.copy("COPY old FROM STDIN") as copy:
                for one in items:
                    copy.write_row((one.id, one.said))
        (path / "backfills").mkdir()
        shutil.copy(ROOT / "backfills" / "_restoration.py", path / "backfills")
        definition = DEFINITION.format(to=f"{place.prefix}restored/{{id}}{{ext}}")
        make_project(path, url, ddl_up=TARGET, backfills={MOVE: definition}, settings={"object_workers": THREADS})
        storage = replace(place.objects.storage, bucket=place.bucket)
        lines = [f'{name} = "{getattr(storage, name)}"' for name in ("endpoint", "region", "bucket")]
        with (path / "migrator.toml").open("a", encoding="utf-8") as file:
            file.write("\n".join(["[s3]", *lines, ""]))
        return made

    @property
    def desk(self) -> Desk:
        """The change, opened."""
        return open_desk(CHANGE, config=str(self.path), url=self.url)

    def of(self, fault: str) -> list[Item]:
        """Give the items with one fault, or with none."""
        return [one for one in self.items if one.fault == fault]

    def spoil(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every store that is opened from now on deny and replace what was planted so."""
        opened = Store.open

        def open_spoilt(*given: Any, **more: Any) -> Store:
            store = opened(*given, **more)
            let(store, "", self._happens)
            return store

        monkeypatch.setattr(Store, "open", open_spoilt)

    def inventory(self) -> dict[str, str]:
        """List what is in the place, by key: the MD5 of its content."""
        pages = self.place.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.place.bucket, Prefix=self.place.prefix
        )
        return {one["Key"]: one["ETag"].strip('"') for page in pages for one in page.get("Contents", ())}

    def mend(self) -> None:
        """Bring what is missing, and let the store be as stores are."""
        self.armed = False
        for one in self.of("missing"):
            self._put(one)

    def _put(self, one: Item) -> None:
        self.place.client.put_object(
            Bucket=self.place.bucket,
            Key=one.key,
            Body=one.body,
            ContentType=one.content_type,
            Metadata={"of": "a test"},
        )

    def _happens(self, request: Any, event_name: str, **_: Any) -> Any:
        """Deny or replace, by what the key of the source is called."""
        if not self.armed:
            return None
        source = request.headers.get("x-amz-copy-source", "")
        source = unquote(source.decode() if isinstance(source, bytes) else source)
        if "denied-" in source or "denied-" in unquote(request.url):
            self.hurt["denied"] += 1
            return error("AccessDenied", 403)(request)
        if "replaced-" in source and event_name.endswith("CopyObject"):
            self.hurt["replaced"] += 1
            key = source.lstrip("/").partition("/")[2].partition("?")[0]
            self.place.client.put_object(Bucket=self.place.bucket, Key=key, Body=f"by another {self.hurt}".encode())
        return None


def _item(place: Place, chance: random.Random, number: int, fault: str) -> Item:
    """Draw one row with its object; what is at fault is called so."""
    named = f"{fault}-{number}" if fault else str(number)
    content_type, known = chance.choice(TYPES)
    key = place.prefix + "old/" + KEYS[number % len(KEYS)].format(named)
    key = key.ljust(LONGEST, "z")[:LONGEST] if "/long" in key else key
    tail = key.rpartition("/")[2]
    of_key = f".{tail.rpartition('.')[2].lower()}" if "." in tail else ""
    return Item(
        id=chance.choice(IDS).format(number),
        said=chance.choice(_FORMS)(place.bucket, key),
        key=key,
        body=f"content of {number} ".encode() * chance.choice((1, 1, 1, 500)),
        content_type=content_type,
        extension=of_key if known is None else known,
        fault=fault,
    )


def _said_alone(_: str, key: str) -> str:
    return key


def _said_by_s3(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"


def _said_by_host(bucket: str, key: str) -> str:
    return f"https://{bucket}.s3.eu-central-1.amazonaws.com/{quote(key)}"


def _said_by_path(bucket: str, key: str) -> str:
    return f"https://s3.amazonaws.com/{bucket}/{quote(key, safe='/+')}"


def _said_with_a_signature(bucket: str, key: str) -> str:
    signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20240101%2Fus-east-1%2Fs3%2Faws4_request"
    return f"{_said_by_host(bucket, key)}?{signed}&X-Amz-Expires=900&X-Amz-Signature={'0f' * 32}"


def _said_twice_encoded(_: str, key: str) -> str:
    return f"https://d111111abcdef8.cloudfront.net/{quote(quote(key))}"


_FORMS = (_said_alone, _said_by_s3, _said_by_host, _said_by_path, _said_with_a_signature, _said_twice_encoded)


def there_and_back(campaign: Campaign) -> None:
    """Apply, hold everything against what was planted, mend, apply again, and go back to where it began."""
    before, prefix = campaign.inventory(), campaign.place.prefix
    report = use_cases.apply(campaign.desk, listen=silent)
    _closes(campaign, report)
    good = {one.id: one.target(prefix) for one in campaign.of("")}
    assert good == dict(rows_of(campaign.url, "SELECT id, s3_key FROM new"))
    reasons = {f"picture: {FAULTS[fault]}": {one.id for one in campaign.of(fault)} for fault in FAULTS}
    assert reasons == _quarantined(campaign.desk)
    after = campaign.inventory()
    copies = {one.target(prefix): _md5(one.body) for one in campaign.of("")}
    sources = {key: etag for key, etag in after.items() if key not in copies}
    assert copies == {key: etag for key, etag in after.items() if key not in sources}
    replaced = {one.key for one in campaign.of("replaced")}
    assert _without(before, replaced) == _without(sources, replaced), "a stray object, or a source that was touched"
    assert before.keys() == sources.keys()
    assert [] == campaign.place.uploads()
    assert min(campaign.hurt.values()) > 0

    campaign.mend()
    assert 1 <= quarantine_retry(campaign.desk, Selection(change=CHANGE))
    mended = campaign.inventory()
    assert State.VERIFIED is use_cases.apply(campaign.desk, listen=silent).state
    assert {one.id for one in campaign.items} == {id for (id,) in rows_of(campaign.url, "SELECT id FROM new")}
    assert use_cases.apply(campaign.desk, listen=silent).nothing_done
    undoing.rollback(campaign.desk, listen=silent)
    assert _without(mended, set(copies)) == campaign.inventory(), "rollback left something, or took too much"
    assert [("old",)] == rows_of(campaign.url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


def _closes(campaign: Campaign, report: Report) -> None:
    """See that each fault stands in the Balance under its name and number, and nothing is unaccounted."""
    (objects,) = report.objects
    planted = Counter(one.fault for one in campaign.items)
    assert {FAULTS[name]: planted[name] for name in FAULTS if planted[name]} == dict(objects.faults)
    assert (len(campaign.items), planted[""]) == (objects.listed, objects.copied)
    assert (0, 0, 0) == (objects.there, objects.pending, objects.unaccounted)
    assert all(one.closes and not one.unaccounted for one in report.balances)
    assert report.proven is False


def _quarantined(desk: Desk) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for key, (fate, reason) in fates(desk).items():
        if fate == "quarantined":
            found.setdefault(reason, set()).add(key)
    return found


def _without(found: Mapping[str, str], keys: set[str]) -> dict[str, str]:
    return {key: etag for key, etag in found.items() if key not in keys}


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
