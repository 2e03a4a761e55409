"""Merging touches nothing unless asked to; what it completes is kept, proven, and emptied again."""

from __future__ import annotations

from pathlib import Path

from migrator.model.step import Phase
from migrator.workflow import use_cases
from tests.support.projects import back, check, execute, one_table, rows_of, run

PARTS = {"merge": "'job'", "fill": "('note', 'price')"}
NEW = "INSERT INTO new (id, job, note, price) VALUES (101, 'a', NULL, NULL), (102, 'b', 'mine', NULL)"
ROWS = ((1, "a", "one", 1.5), (2, "b", "two", 2), (3, "c", "three", 3))
SEEN = "SELECT id, job, note, price::text FROM new WHERE id > 100 ORDER BY id"


def merged(database: str, tmp_path: Path, **parts: str):
    """Move rows of which the first two merge into rows of the application, with some columns empty."""
    desk = one_table(
        tmp_path,
        database,
        columns="job text UNIQUE, note text, price numeric",
        rows=ROWS,
        parts={**PARTS, **parts},
    )
    run(desk, to=Phase.EXPAND)
    execute(database, NEW)
    run(desk)
    return desk


def test_a_merge_touches_nothing_by_default(database: str, tmp_path: Path) -> None:
    """Without fill the application's row stays as it is, down to its empty columns."""
    desk = merged(database, tmp_path, fill="()")
    assert [(101, "a", None, None), (102, "b", "mine", None)] == rows_of(database, SEEN)
    assert check(desk).proven


def test_only_empty_columns_are_completed(database: str, tmp_path: Path) -> None:
    """Fill writes where there was NULL and nowhere else, and the result is proven."""
    desk = merged(database, tmp_path)
    assert [(101, "a", "one", "1.5"), (102, "b", "mine", "2")] == rows_of(database, SEEN)
    assert check(desk).proven


def test_a_change_of_a_completed_column_is_seen(database: str, tmp_path: Path) -> None:
    """What the application does to a completed column is an altered row; another column is its own affair."""
    desk = merged(database, tmp_path)
    execute(database, "UPDATE new SET note = 'other' WHERE id = 102")
    assert check(desk).proven
    execute(database, "UPDATE new SET price = 2.0 WHERE id = 102")
    found = check(desk).comparisons[0]
    assert {"altered": 1} == dict(found.counts)
    assert ["price"] == [one.column for one in found.rows[0].columns if one.column != "note"]


def test_undo_empties_what_was_completed_and_keeps_what_was_changed(database: str, tmp_path: Path) -> None:
    """The application's rows are as they were, but for what it wrote there itself since."""
    desk = merged(database, tmp_path)
    execute(database, "UPDATE new SET note = 'since' WHERE id = 101")
    back(desk, keep_new=True)
    assert [(101, "a", "since", None), (102, "b", "mine", None)] == rows_of(database, SEEN)
    assert [(0,)] == rows_of(database, "SELECT count(*) FROM migrator.before_image")


def test_two_source_rows_never_merge_into_one_row(database: str, tmp_path: Path) -> None:
    """The first row by key is merged; the other is quarantined, not silently swallowed."""
    desk = one_table(
        tmp_path,
        database,
        columns="mail text",
        rows=((1, "ana@x.pt"), (2, "ANA@x.pt"), (3, "bo@x.pt")),
        fill={"mail": "sql('lower(mail)')"},
        parts={"merge": "'mail'"},
        target="mail text UNIQUE",
    )
    run(desk, to=Phase.EXPAND)
    execute(database, "INSERT INTO new VALUES (101, 'ana@x.pt')")
    run(desk)
    found = check(desk).balances[0]
    assert (1, 1, 1) == (found.rows("merged"), found.rows("moved"), found.rows("quarantined"))
    assert found.closes


def test_rows_are_recognised_by_columns_that_are_not_unique(database: str, tmp_path: Path) -> None:
    """Without a unique key to run into, the application's rows are looked up before anything is inserted."""
    desk = one_table(
        tmp_path,
        database,
        columns="url text, prompt text",
        rows=((1, "a", "x"), (2, "a", "y"), (3, "b", "x")),
        parts={"merge": "('url', 'prompt')"},
    )
    run(desk, to=Phase.EXPAND)
    execute(database, "INSERT INTO new VALUES (101, 'a', 'x'), (102, 'c', 'x')")
    run(desk)
    found = check(desk).balances[0]
    assert (1, 2, 0) == (found.rows("merged"), found.rows("moved"), found.unaccounted)
    assert [(4,)] == rows_of(database, "SELECT count(*) FROM new")


def test_source_rows_that_share_an_identity_are_foretold_and_found_alike(database: str, tmp_path: Path) -> None:
    """Of two rows with one identity the first by key is moved; plan and apply give the second the same reason."""
    desk = one_table(
        tmp_path,
        database,
        columns="code text",
        rows=((1, "a"), (2, "A"), (3, "b")),
        backfills={
            "shared": 'backfill = Backfill(source="old", key="id", target="new", identity="code",'
            ' columns={"code": sql("lower(code)")})'
        },
        ddl_up="CREATE TABLE new (code text PRIMARY KEY)",
    )
    foretold = {(one.disposition, one.reason): one.rows for one in use_cases.plan(desk).balances[0].terms}
    run(desk)
    found = {(one.disposition, one.reason): one.rows for one in check(desk).balances[0].terms}
    assert {("moved", ""): 2, ("quarantined", "code: another row holds this value"): 1} == foretold
    assert foretold == found
