"""`migrator.toml`: what is read from it, and every fault it can have."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.model.errors import ConfigurationError
from migrator.project.checks import wrong_name
from migrator.project.config import load, milliseconds
from migrator.project.faults import shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migrator.project.config import Config

    Read = Callable[[str | bytes], Config]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write the text as migrator.toml and load it."""

    def write_and_load(text: str | bytes) -> Config:
        file = tmp_path / "migrator.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(file)

    return write_and_load


def refused(read: Read, text: str | bytes) -> ConfigurationError:
    """Give the error which the text is refused with."""
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return caught.value


def test_an_empty_file_is_a_project_without_changes(read: Read) -> None:
    """An empty file has no fault and no change."""
    assert {} == read("").change


def test_a_byte_order_mark_is_tolerated(read: Read) -> None:
    """A file saved with a byte order mark is read like any other."""
    assert ["x"] == list(read(b"\xef\xbb\xbf[change.x]\n").change)


def test_every_key_is_read(read: Read) -> None:
    """What the file says is what the tables hold, a duration in milliseconds."""
    config = read(
        """
        [database.studio]
        url_env = "STUDIO"
        search_path = "app"
        [defaults]
        lock_timeout = "500ms"
        quarantine_limit = "none"
        [change.x]
        title = "T"
        guide = "001"
        database = "studio"
        foreign = "fault"
        backfills = ["b"]
        workers = 2
        revision_params = { allow = "bool" }
        [change.x.params]
        allow = true
        [change.x.backfill.b]
        batch_rows = 5
        """
    )
    change = config.change["x"]
    assert ("STUDIO", "app") == (
        config.database["studio"].url_env,
        config.database["studio"].search_path,
    )
    assert (500, None) == (config.defaults.lock_timeout, config.defaults.quarantine_limit)
    assert "quarantine_limit" in config.defaults.model_fields_set
    assert ("T", "001", "studio", "fault", ("b",), 2) == (
        change.title,
        change.guide,
        change.database,
        change.foreign,
        change.backfills,
        change.workers,
    )
    assert {"allow": True} == change.params
    assert 5 == change.backfill["b"].batch_rows


def test_a_missing_file_is_told_with_the_way_on(tmp_path: Path) -> None:
    """A file that is not there is M101 and names `--config`."""
    with pytest.raises(ConfigurationError, match="M101") as caught:
        load(tmp_path / "migrator.toml")
    assert "--config" in caught.value.cure


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """A directory in place of the file is M101."""
    with pytest.raises(ConfigurationError, match="M101"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb = = 2\n", ":2:5: "),
        ("[change.x\n", ":1:10: "),
        ("a = 1\na = 2\n", ":2:6: "),
        ('a = "open', ":1:"),
        ("a = [1,", ":1:8: "),
    ],
)
def test_a_syntax_error_has_line_and_column(read: Read, text: str, place: str) -> None:
    """What is no TOML is M101 with the place, as editors take it."""
    error = refused(read, text)
    assert "M101" == error.id
    assert f"migrator.toml{place}" in error.what


def test_a_file_that_is_not_utf8_names_the_line(read: Read) -> None:
    """Other encodings are M101 with the line of the first such byte."""
    assert "migrator.toml:2 is not UTF-8." in refused(read, b"a = 1\nb = '\xe9'\n").what


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[change.x]\nbackfils = ["a"]', "change.x.backfils: unknown key."),
        ("[defaults]\nworker = 1", "defaults.worker: unknown key."),
        ("[changes.x]", "changes: unknown key."),
        ('[database.d]\nurll = "x"', "database.d.urll: unknown key."),
        (
            '[change.x]\nbackfills=["b"]\n[change.x.backfill.b]\nworkrs=1',
            "change.x.backfill.b.workrs: unknown key.",
        ),
        ("[defaults]\nworkers = 0", "defaults.workers: 0 should be greater than or equal to 1."),
        ("[defaults]\nworkers = 65", "defaults.workers: 65 should be less than or equal to 64."),
        ("[defaults]\nworkers = '2'", "defaults.workers: '2' should be a valid integer."),
        ("[defaults]\nworkers = true", "defaults.workers: true should be a valid integer."),
        ("[defaults]\nworkers = 2.0", "defaults.workers: 2.0 should be a valid integer."),
        ("[defaults]\nbatch_rows = -1", "defaults.batch_rows: -1 should be"),
        ("[defaults]\nlock_timeout = 2", "defaults.lock_timeout: 2 is no duration."),
        ("[defaults]\nlock_timeout = '2h'", "defaults.lock_timeout: '2h' is no duration."),
        ("[defaults]\nlock_timeout = '0s'", "'0s' is not between 1ms and 10min."),
        ("[defaults]\nquarantine_limit = -1", "defaults.quarantine_limit: -1 should be"),
        ("[defaults]\nquarantine_limit = 'no'", "defaults.quarantine_limit: 'no' should be"),
        ("defaults = 3", "defaults: 3 should be"),
        ("change = 3", "change: 3 should be a valid dictionary."),
        ("[change]\nx = 3", "change.x: 3 should be"),
        ("[change.x]\ntitle = {a = 1}", "change.x.title: a table should be a valid string."),
        ("[change.x]\ntitle = 2026-01-01", "change.x.title: 2026-01-01 should be a valid string."),
        ("[change.x]\nforeign = 'faults'", "change.x.foreign: 'faults' should be 'count' or"),
        ("[change.x]\nbackfills = 'a'", "change.x.backfills: 'a' should be a valid tuple."),
        ("[change.x]\nbackfills = [1]", "change.x.backfills[0]: 1 should be a valid string."),
        ("[change.x]\nbackfills = ['a', 'a']", "change.x.backfills: 'a' is listed twice."),
        ("[change.x]\nbackfills = ['a.py']", "change.x.backfills: 'a.py' is no name"),
        ("[change.x]\nbackfills = ['../a']", "change.x.backfills: '../a' is no name"),
        ("[change.x]\nbackfills = ['_a']", "'_a' holds shared rules, no backfill."),
        (
            "[change.x]\nbackfills = ['abc']\n[change.x.backfill.abd]",
            "change.x.backfill.abd: 'abd' is not listed in change.x.backfills.",
        ),
        ("[change.x]\ndatabase = 'd'", "change.x.database: no database is called 'd'."),
        ("[change.a-b]", "change.a-b: 'a-b' is no name"),
        ("[change.1a]", "change.1a: '1a' is no name"),
        ('[change."ä b"]', 'change."ä b": '),
        (f"[change.{'x' * 64}]", "is longer than 63 characters."),
        ("[change.x.params]\na = [1]", "change.x.params.a: a list should be"),
        ("[change.x.revision_params]\na = 'file'", "change.x.revision_params.a: 'file' should be"),
        ("[database.d]\nurl = 'x'\nurl_env = 'X'", "database.d: both url and url_env are set."),
        ("[database.d]\ndirect_url = 'x'\ndirect_url_env = 'X'", "both direct_url and"),
    ],
)
def test_every_fault_has_its_path(read: Read, text: str, expected: str) -> None:
    """A fault is M102 and begins with the path of the key in the file."""
    error = refused(read, text)
    assert "M102" == error.id
    assert expected in error.what


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("[change.x]\nbackfils = []", "Did you mean backfills?"),
        ("[change.x]\nquarantine_limt = 1", "Did you mean quarantine_limit?"),
        ("[chnage.x]", "Did you mean change?"),
        ("[database.d]\nzzz = 1", "Known are: url, url_env"),
        ("[change.output-type]", "Write [change.output_type]."),
        ("[change.x]\nbackfills = ['a.py']", "Write 'a', without .py."),
        (
            "[change.x]\nbackfills = ['abc']\n[change.x.backfill.abd]",
            "Did you mean abc?",
        ),
        ("[database.studio]\n[change.x]\ndatabase = 'sutdio'", "Did you mean studio?"),
        ("[defaults]\nlock_timeout = 2", 'lock_timeout = "2s"'),
    ],
)
def test_a_fault_comes_with_its_cure(read: Read, text: str, cure: str) -> None:
    """The cure names what was probably meant, or what to write."""
    assert cure in refused(read, text).cure


def test_all_faults_are_told_at_once(read: Read) -> None:
    """A wrong type does not hide a wrong name in the same table, nor one in another."""
    error = refused(
        read,
        """
        [defaults]
        workers = 0
        [change.x]
        title = 3
        backfils = []
        database = "nowhere"
        [change.x.backfill.b]
        lock_tries = "many"
        [change.a-b]
        """,
    )
    assert "migrator.toml has 7 faults:" in error.what
    for place in (
        "defaults.workers",
        "change.x.title",
        "change.x.backfils",
        "change.x.database",
        "change.x.backfill.b",
        "change.x.backfill.b.lock_tries",
        "change.a-b",
    ):
        assert f"\n  {place}: " in error.what


@pytest.mark.parametrize(
    "text",
    [
        "[database.d]\nurl = ['postgresql://u:secret@h/d']",
        "[database.d]\nulr = 'postgresql://u:secret@h/d'",
        "[change.x]\ndatabase = 'postgresql://u:secret@h/d'",
        "[change.x]\nforeign = 'host=h password=secret'",
    ],
)
def test_a_password_is_never_shown(read: Read, text: str) -> None:
    """Whatever key a URL was written under, its password stays out of the fault."""
    assert "secret" not in str(refused(read, text))


@given(st.text(string.ascii_letters + string.digits + "_", max_size=70))
def test_a_name_is_accepted_or_refused_but_never_mangled(name: str) -> None:
    """A change's name is the key of the file, or a fault that shows it."""
    fits = name.isascii() and name.isidentifier() and len(name) <= 63
    assert fits == (wrong_name(name) is None)


@given(st.integers(1, 600_000))
def test_a_duration_is_read_back(length: int) -> None:
    """Milliseconds written with their unit are the same milliseconds."""
    assert length == milliseconds(f"{length}ms")


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text("ab'", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("k"), inner),
    max_leaves=5,
)


def toml(value: object) -> str:
    """Write a value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


@given(
    st.sampled_from(["database", "defaults", "change"]),
    st.sampled_from(["", "d.", "x.", "x.backfill.", "x.backfill.b."]),
    st.sampled_from(["workers", "url", "backfills", "database", "params", "lock_timeout", "zz"]),
    VALUES,
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_value_makes_the_reader_fail(read: Read, top: str, middle: str, last: str, value: object) -> None:
    """Any value under any key is either read or a ConfigurationError."""
    try:
        read(f"{top}.{middle}{last} = {toml(value)}\n")
    except ConfigurationError as error:
        assert error.what


def test_a_long_value_is_shortened() -> None:
    """A value that fills the screen is cut where it is shown."""
    assert len(shown("x" * 1_000)) < 100


def test_where_objects_are(read: Read) -> None:
    """`[s3]` says where objects are; what it does not say is left to the AWS chain."""
    table = read('[s3]\nendpoint = "http://127.0.0.1:9000"\nregion = "us-east-2"\nbucket = "shop-media"').s3
    assert ("http://127.0.0.1:9000", "us-east-2", "shop-media", None) == (
        table.endpoint,
        table.region,
        table.bucket,
        table.cdn_domain,
    )
    assert read("").s3.bucket is None


@pytest.mark.parametrize(
    "line",
    [
        'secret_access_key = "wJalr/K7"',
        'aws_secret = "wJalr/K7"',
        'access_key_id = "wJalr/K7"',
        'session_token = "wJalr/K7"',
        'password = "wJalr/K7"',
        'endpoint = "https://wJalr:K7@s3.example.com"',
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(line: str, read: Read) -> None:
    """What opens a store does not belong into a file: M250, whatever else is wrong, and the value is not repeated."""
    error = refused(read, f"[s3]\n{line}\nnonsense = 1")
    assert error.id == "M250"
    assert f"s3.{line.split(maxsplit=1)[0]}" in error.what
    assert "wJalr" not in f"{error.what}{error.cure}"
    assert "AWS_PROFILE" in error.cure


@pytest.mark.parametrize(
    "line",
    [
        'bucket = "Shop_Media"',
        'bucket = "ab"',
        'endpoint = "s3.example.com"',
        'endpoint = "https://s3.example.com/bucket"',
        'region = "Frankfurt"',
        'cdn_domain = "https://cdn.example.com/"',
        'buckets = "shop-media"',
    ],
)
def test_what_cannot_be_a_store_is_a_fault(line: str, read: Read) -> None:
    """A bucket, an endpoint, a region and a domain are checked for their form, with an example in the cure."""
    error = refused(read, f"[s3]\n{line}")
    assert error.id == "M102"
    assert "s3." in error.what
    assert error.cure
