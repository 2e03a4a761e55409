"""Whatever stands in the old table or in the identity map: each row ends in the Balance, and none stops the run."""

from __future__ import annotations

import importlib
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.demo.jobs_and_attempts import planted
from migrator.demo.jobs_and_attempts.fates import ATTEMPTS, JOBS, NO_DATE, NOBODY
from migrator.demo.jobs_and_attempts.mix import FORMS, address
from migrator.model.errors import ConfigurationError
from migrator.model.expressions import Sql
from migrator.project import Project
from migrator.workflow import use_cases
from tests.support.projects import back, execute, rows_of, silent, terms
from tests.support.restoration import desk_on, expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NO_ADDRESS = "the address of its user is no e-mail address"
NO_KEY = "completed, and the URL of its picture holds no key"

# What a URL may be, and the key that must come of it; None where there is none.
URLS: dict[str, str | None] = {
    "https://d1.cloudfront.net/restorations/auth0|1/processed/a.jpg": "restorations/auth0|1/processed/a.jpg",
    "https://d1.cloudfront.net/restorations/auth0%7C1/processed/a.jpg?x=1#y": "restorations/auth0|1/processed/a.jpg",
    "https://b.s3.us-east-2.amazonaws.com/k/a%2520b.jpg": "k/a b.jpg",
    "https://b.s3-us-west-1.amazonaws.com:443//k/a.jpg": "k/a.jpg",
    "https://my.dotted.bucket.s3.dualstack.us-east-1.amazonaws.com/k": "k",
    "https://s3.us-east-1.amazonaws.com/bucket/k/a.jpg": "k/a.jpg",
    "http://s3.amazonaws.com/bucket/k": "k",
    "s3://bucket/k/a#1.jpg": "k/a#1.jpg",
    "S3://Bucket/K": "K",
    "k/a.jpg%253FX-Amz-Expires%253D3600": "k/a.jpg",
    "  https://photos.example.org/k.jpg\n": "k.jpg",
    "k/100%.jpg": "k/100%.jpg",
    "k/%FF.jpg": "k/%FF.jpg",
    "k/%00.jpg": "k/%00.jpg",
    "k/%E2%82%AC/été.jpg": "k/€/été.jpg",
    "restorations/" + "x" * 3_000: "restorations/" + "x" * 3_000,
    "https://d1.cloudfront.net/": None,
    "https://d1.cloudfront.net": None,
    "https://s3.amazonaws.com/bucket": None,
    "https://s3.amazonaws.com/bucket/": None,
    "https://b.s3.amazonaws.com/https://d1.cloudfront.net/k.jpg": None,
    "https://?/k": None,
    "d1.cloudfront.net/k.jpg": None,
    "b.s3.amazonaws.com/k.jpg": None,
    "//d1.cloudfront.net/k.jpg": None,
    "/k.jpg": None,
    "?X-Amz-Signature=1": None,
    "data:image/png;base64,AAAA": None,
    "blob:https://page/1": None,
    "javascript:alert(1)": None,
    "ftp://host/k": None,
    "file:///k": None,
    "%3F": None,
}
ADDRESSES: dict[str, str | None] = {
    "  Anna@Example.org\t": "anna@example.org",
    "a" * 300 + "@example.org": "a" * 300 + "@example.org",
    "用户@例子.中国": "用户@例子.中国",
    "no address": None,
    "anna": None,
    "anna smith@example.org": None,
    "@example.org": None,
    "anna@": None,
}
BAD_MAPS = {
    "empty": (b"", "the file is empty"),
    "no line": (b"sub,email\n", "there is a header and no line"),
    "one subject, two addresses": (
        b"sub,email\nuser1,a@b.c\nuser1,d@e.f\n",
        "stands for 'a@b.c' before and 'd@e.f' here",
    ),
    "one column": (b"sub\nuser1\n", "the header has one column"),
    "no header": (b"1,a@b.c\n2,d@e.f\n", "it looks like a line of values"),
    "not UTF-8": ("sub,email\nuser1,jos\xe9@b.c\n".encode("latin-1"), "the line is not UTF-8"),
    "UTF-16": ("sub,email\nuser1,a@b.c\n".encode("utf-16-le"), "NUL byte"),
    "too few columns": (b"sub,email\nuser1\n", "the line has 1 columns, the header 2"),
}


def rendered(part: Any) -> str:
    """Write a fragment with its places filled, as the Projection does."""
    assert isinstance(part, Sql)
    return f"({part.filled({name: rendered(one) for name, one in part.places})})"


def asked(connection: Any, part: Any, column: str, values: list[str]) -> list[str | None]:
    """Work out a fragment for each value of a column."""
    fragment = rendered(part).replace("%", "%%")
    rows = f"unnest(%s::text[]) WITH ORDINALITY AS t({column}, n)"
    found = connection.execute(f"SELECT {fragment} FROM {rows} ORDER BY n".encode(), [values]).fetchall()
    return [one for (one,) in found]


@pytest.fixture(scope="module")
def restoration() -> Any:
    """Load what the definitions share, as the project does."""
    Project.documented().change("jobs_and_attempts")
    return importlib.import_module("backfills._restoration")


@pytest.fixture(scope="module")
def connection(databases: Any) -> Iterator[psycopg.Connection]:
    """Connect to an empty database."""
    with databases.fresh() as url, closing(psycopg.connect(url, autocommit=True)) as conn:
        yield conn


def decoded(text: str) -> str:
    """Decode percent escapes as Python does; what is no text stays."""
    try:
        made = unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text
    return text if "\0" in made else made


def key_of(url: str) -> str | None:
    """Work out the key of one of the forms in which keys were stored."""
    path = url.strip(" \t\r\n")
    if path.startswith("s3://"):
        path = path[5:].partition("/")[2]
    elif path.startswith("https://"):
        parts = urlsplit(path)
        path = parts.path.lstrip("/")
        path = path.partition("/")[2] if (parts.hostname or "").startswith("s3.") else path
    for _ in range(2):
        path = decoded(path).partition("?")[0]
    path = path.lstrip("/")
    return path if path and "://" not in path else None


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
# The edges of UTF-8: NUL, too long, surrogates, beyond the last character, cut off.
EDGES = (
    "00", "7f80", "c080", "c1bf", "c280", "dfbf", "e08080", "e09fbf", "e0a080", "ecbfbf", "ed9fbf", "eda080", "edbfbf",
    "ee8080", "efbfbf", "f0808080", "f08fbfbf", "f0908080", "f3bfbfbf", "f48fbfbf", "f4908080", "f5808080", "ff",
    "e282", "f09f98", "c2",
)  # fmt: skip


def escaped(octets: bytes) -> str:
    """Write octets as percent escapes."""
    return "".join(f"%{one:02x}" for one in octets)


escapes = st.lists(
    st.one_of(
        texts,
        st.sampled_from(["%", "%%", "%4", "%zz", *(escaped(bytes.fromhex(one)) for one in EDGES)]),
        st.binary(max_size=6).map(escaped),
    ),
    max_size=6,
).map("".join)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(escapes, min_size=1, max_size=30))
def test_percent_escapes_are_decoded_as_python_decodes_them(connection: Any, restoration: Any, said: list[str]) -> None:
    """Every text gives a text: of valid escapes what they stand for, of all others the text itself."""
    said += [escaped(bytes.fromhex(one)) for one in EDGES]
    assert [decoded(one) for one in said] == asked(connection, restoration.decoded(Sql("said")), "said", said)


keys = st.lists(st.text("abcXYZ019|%?#+=& éж/", min_size=1, max_size=12), min_size=1, max_size=4).map("/".join)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.tuples(st.sampled_from(FORMS), keys), min_size=1, max_size=30))
def test_a_key_is_found_in_every_form(connection: Any, restoration: Any, said: list[tuple[str, str]]) -> None:
    """Whatever the key, SQL and Python find the same in each form of its URL."""
    urls = [address(form, key) for form, key in said if not key.strip(" \t\r\n").startswith("/")]
    assert [key_of(one) for one in urls] == asked(connection, restoration.ORIGINAL_KEY, "original_image_url", urls)


def test_each_row_ends_in_the_balance_and_none_stops_the_run(database: str, tmp_path: Path) -> None:
    """URLs of every form and none, addresses of every kind, numbers that are none: each is moved or named."""
    expanded(database)
    file = tmp_path / "identities.csv"
    lines = [f'"odd{n}","{one}"' for n, one in enumerate(ADDRESSES)]
    file.write_text("\n".join(["sub,email", "user1,user.one@example.org", *lines]), encoding="utf-8")
    new = "INSERT INTO restoration_jobs (id, user_id, status, original_image_url, processed_image_url, denoise,"
    new += (
        " error_message, created_at) VALUES (md5(%s)::uuid, %s, %s::jobstatus, %s, %s, %s::float8, %s, %s::timestamptz)"
    )
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        conn.execute("DELETE FROM restoration_jobs")
        when = "2025-10-01"
        for url in URLS:
            conn.execute(new.encode(), [url, "user1", "COMPLETED", url, url, "0.7", None, when])
        for number, one in enumerate(ADDRESSES):
            conn.execute(new.encode(), [one, f"odd{number}", "FAILED", "k", None, "0.7", "\\u0000 %s", when])
        for odd in ("NaN", "Infinity", "-0", "1e308"):
            conn.execute(new.encode(), [odd, "user1", "FAILED", "k", "", odd, "x" * 100_000, when])
        for odd in ("infinity", "-infinity", "0044-03-15 BC"):
            conn.execute(new.encode(), [odd, "user1", "PENDING", "", None, "0", None, odd])
    desk = desk_on(database, identity_map=str(file))
    report = use_cases.apply(desk, listen=silent)
    assert [0, 0, 0] == [one.unaccounted for one in report.balances]
    assert all(one.unaccounted == 0 for one in report.sources)
    found = {JOBS: terms(desk, JOBS), ATTEMPTS: terms(desk, ATTEMPTS)}
    no_address = sum(one is None for one in ADDRESSES.values())
    no_key = sum(one is None for one in URLS.values())
    assert {
        ("moved", ""): len(URLS) + len(ADDRESSES) - no_address + 7,
        ("quarantined", NO_ADDRESS): no_address,
    } == found[JOBS]
    assert {
        ("moved", ""): len(URLS) - no_key + len(ADDRESSES) - no_address + 7,
        ("quarantined", NO_ADDRESS): no_address,
        ("quarantined", NO_KEY): no_key,
    } == found[ATTEMPTS]
    made = dict(
        rows_of(
            database, "SELECT params ->> 'processed_image_url', s3_key FROM restore_attempts WHERE s3_key <> 'failed'"
        )
    )
    assert {url: key for url, key in URLS.items() if key} == {url: key for url, key in made.items() if url}
    owners = {one for (one,) in rows_of(database, "SELECT DISTINCT email FROM jobs")}
    assert {"user.one@example.org", *(one for one in ADDRESSES.values() if one)} == owners
    back(desk)


@pytest.mark.parametrize("fault", sorted(BAD_MAPS))
def test_a_map_at_fault_is_refused_with_its_line(tmp_path: Path, fault: str) -> None:
    """What is no map of subjects and addresses is named with its line, before any database is asked."""
    content, why = BAD_MAPS[fault]
    file = tmp_path / "identities.csv"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="M106") as refused:
        desk_on("postgresql://nobody@127.0.0.1:1/nowhere", identity_map=str(file))
    assert why in refused.value.what
    assert "identity_map: identities.csv" in refused.value.what


def test_columns_in_the_wrong_order_name_nobody(database_from: Callable[..., str], tmp_path: Path) -> None:
    """A map whose columns are exchanged finds no subject: all rows wait, counted by plan, and none is guessed."""
    url = database_from("jobs_and_attempts expanded", expanded)
    file = tmp_path / "identities.csv"
    file.write_text("email,sub\nanna@example.org,auth0|68d1f00d0000000000000a01\n", encoding="utf-8")
    assert {("quarantined", NOBODY): planted().rows} == terms(desk_on(url, identity_map=str(file)), JOBS, planned=True)
    assert "identity_map has no line for 12 of 12 values of restoration_jobs.user_id: 200 rows" in _unnamed(
        url, str(file)
    )
    assert "identity_map has no line for 1 of 12 values of restoration_jobs.user_id: 17 rows" in _unnamed(url)


def test_a_table_may_say_who_the_users_are(database_from: Callable[..., str], tmp_path: Path) -> None:
    """What the file does not name is looked up in a table; one with two addresses has none, and a write is noticed."""
    url = database_from("jobs_and_attempts expanded", expanded)
    whom = "auth0|68d1f00d0000000000000e05"
    execute(
        url,
        "CREATE SCHEMA auth; CREATE TABLE auth.identities (sub varchar, email varchar, since date);"
        f"INSERT INTO auth.identities VALUES ('{whom}', 'Late@Example.org'), ('user1', 'not.asked@example.org')",
    )
    desk = desk_on(url, identity_table="auth.identities")
    assert 1 == terms(desk, JOBS, planned=True)["quarantined", NO_DATE]
    assert planted().rows - 1 == terms(desk, JOBS, planned=True)["moved", ""]
    assert "auth.identities" in str(use_cases.plan(desk).reads)
    execute(url, f"INSERT INTO auth.identities VALUES ('{whom}', 'other@example.org')")
    assert planted().of_nobody == terms(desk, JOBS, planned=True)["quarantined", NOBODY]
    for wrong in ("a.b.c", "", '"'):
        with pytest.raises(ConfigurationError, match="M106"):
            desk_on(url, identity_table=wrong)


def _unnamed(url: str, file: str | None = None) -> list[str]:
    desk = desk_on(url) if file is None else desk_on(url, identity_map=file)
    return [one.what for one in use_cases.plan(desk).hazards if one.id == "H162"]
