"""What nobody should read is hidden, whatever stands around it; all else stays as it is."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from migrator.model.step import Phase, Report, State
from migrator.model.verdict import ColumnDifference, RowVerdict
from migrator.report.masking import EMAIL, HIDDEN, Masker, masked_text

WORD = st.text(string.ascii_lowercase, min_size=3, max_size=12)
SECRET = st.text(string.ascii_letters + string.digits + "!$*+-._~", min_size=6, max_size=24).filter(
    lambda text: "***" not in text
)
AROUND = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("user ana.perez+1@mail.example.com left", f"user {EMAIL} left"),
        ("postgresql://app:pw@db:5432/studio", "postgresql://app:***@db:5432/studio"),
        ("postgresql://app:p@ss/w@db/studio", "postgresql://app:***@db/studio"),
        ("postgresql://app@db.example:5432/studio", "postgresql://app@db.example:5432/studio"),
        ("postgresql:///studio?host=/run/pg&port=5433", "postgresql:///studio?host=/run/pg&port=5433"),
        ("postgresql:///studio?host=/run/pg&password=pw", "postgresql:///studio?***"),
        ("https://s.example/a.mp4?host=abc", "https://s.example/a.mp4?***"),
        ("at https://s.example/a.mp4?token=abc&x=1 now", "at https://s.example/a.mp4?*** now"),
        ("https://s.example/a.mp4#part", "https://s.example/a.mp4#***"),
        ("https://ghp_abcdefgh12345678@git.example/x", "https://***@git.example/x"),
        ("host=db password='a b' user=app", "host=db password=*** user=app"),
        ('{"api_key": "abc def"}', '{"api_key": ***}'),
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer ***"),
        ("key AKIAABCDEFGHIJKLMNOP.", "key ***."),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2ln", "***"),
        ("(role@host.example)", f"({EMAIL})"),
    ],
)
def test_what_is_secret_is_hidden(said, shown):
    """Addresses, passwords, query strings and tokens are hidden, and nothing around them."""
    assert masked_text(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "",
        "M412 rollback would lose 7 rows of video_jobs",
        "f3b9b3f4-7a1e-4c1b-9d0b-6a3d0f6f7c11 is altered",
        "migrator rollback output_type_tables --lose '7 rows of video_jobs'",
        "asiapacificregionaljobs ← task-management_2024",
        "https://comfy.vapai.studio/",
        "workflow: audio stands for masks: 2 rows",
        "wait for pid 4711 (app@studio, idle)",
    ],
)
def test_what_is_not_secret_stays(said):
    """Keys, names, commands and plain URLs are shown as they are."""
    assert masked_text(said) == said


@given(before=AROUND, user=WORD, domain=WORD, after=AROUND)
def test_no_address_survives(before, user, domain, after):
    """An e-mail address is hidden whatever text surrounds it."""
    address = f"{user}@{domain}.example.com"
    assume(user not in before + after)
    assert address not in masked_text(f"{before} {address} {after}")
    assert address not in masked_text(f"{before}{address}{after}")


@given(scheme=st.sampled_from(["postgresql", "https", "s3"]), user=WORD, secret=SECRET, after=AROUND)
def test_no_password_of_a_url_survives(scheme, user, secret, after):
    """The password of a URL is hidden, also one with characters that should be percent-encoded."""
    assume(secret not in f"{scheme} {user} db.example {after}")
    assert secret not in masked_text(f"at {scheme}://{user}:{secret}@db.example:5432/x {after}")


@given(name=WORD, secret=SECRET, after=AROUND)
def test_no_query_string_survives(name, secret, after):
    """Nothing of a query string is shown."""
    assume(secret not in f"{name} https files.example a.mp4 {after}")
    assert secret not in masked_text(f"https://files.example/a.mp4?{name}={secret} {after}")


@given(AROUND, AROUND, st.sampled_from(["a@b.example", "https://u:p@h/x?y=z", "token=abcdef", ""]))
def test_masking_twice_is_masking_once(before, after, planted):
    """A masked text has nothing left to be hidden."""
    once = masked_text(f"{before}{planted}{after}")
    assert masked_text(once) == once


def test_values_are_masked_in_depth():
    """Mappings, tuples and dataclasses are masked to the last text; words of ours stay members."""
    given_value = Report(
        change="c",
        verb="verify",
        database="postgresql://u:p@h/db",
        state=State.COPIED,
        notes=("for ana@example.com",),
        next=("migrator status",),
    )
    found = Masker().value(given_value)
    assert found.database == "postgresql://u:***@h/db"
    assert found.notes == (f"for {EMAIL}",)
    assert found.state is State.COPIED
    assert Masker().value({Phase.EXPAND: ["a@b.example"]}) == {Phase.EXPAND: [EMAIL]}


def test_secret_columns_are_hidden_whole():
    """The values of a column named secret, or marked so by the project, are not shown in any form."""
    row = {"api_key": 12345, "ssn": "123-45", "name": "Ana", "password": None, "password_hash": "x"}
    found = Masker(columns=frozenset({"ssn"})).value(row)
    hidden = {"api_key": HIDDEN, "ssn": HIDDEN, "password_hash": HIDDEN}
    assert found == {**hidden, "name": "Ana", "password": None}


def test_a_secret_column_is_hidden_in_a_verdict():
    """What a secret column is and should be is hidden, its name is not."""
    difference = ColumnDifference(column="ssn", found="123-45", expected=None)
    verdict = RowVerdict(kind="altered", source_key={"id": "7"}, columns=(difference,))
    (found,) = Masker(columns=frozenset({"ssn"})).value(verdict).columns
    assert found == ColumnDifference(column="ssn", found=HIDDEN, expected=None)


def test_reveal_hides_nothing():
    """--reveal shows everything as it is."""
    masker = Masker(columns=frozenset({"ssn"}), reveal=True)
    assert masker.value({"ssn": "123-45"}) == {"ssn": "123-45"}
    assert masker.text("ana@example.com") == "ana@example.com"


def test_a_long_text_is_masked_quickly():
    """A value of a megabyte takes no longer than a moment."""
    said = "a" * 300_000 + "." * 300_000 + "a-" * 200_000
    assert masked_text(said) == said
