"""Rows of the application are recognised through an expression of both values; nothing that is stored changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.engine.blame import TAKEN
from migrator.model.errors import ConfigurationError
from migrator.model.step import Phase
from migrator.workflow import use_cases
from tests.support.plans import most_looked_at, rows_of_a_batch
from tests.support.projects import back, check, execute, fates, one_table, rows_of, run, terms

FOLD = {"merge": "{'mail': sql('lower(btrim(mail))')}"}
INDEX = "CREATE INDEX ON new (lower(btrim(mail)))"
LONG = "x" * 300 + "@x.pt"
ROWS = (
    (1, "Ana@x.pt "),
    (2, "ΜΑΡΊΑ@x.gr"),
    (3, LONG),
    (4, None),
    (5, ""),
    (6, "cy@x.pt"),
    (7, "Two@x.pt"),
    (8, LONG.upper()),
)
NEW = f"""INSERT INTO new VALUES (101, 'ANA@x.pt'), (102, 'ΜΑΡΊΑ@x.gr '), (103, ' {LONG}'), (104, NULL), (105, ' '),
    (106, 'two@x.pt'), (107, 'TWO@x.pt'), (108, 'dan@x.pt')"""
BATCH, MANY = 10, 5_000
SEVERAL = "mail: several rows of new match"


@pytest.mark.parametrize("also", ["", INDEX])
def test_rows_are_recognised_by_what_their_values_fold_to(database: str, tmp_path: Path, also: str) -> None:
    """Case, blanks, other scripts and 300 letters; NULL is like nothing, and two that match decide nothing."""
    desk = one_table(tmp_path, database, columns="mail text", rows=ROWS, parts=FOLD, also=also)
    run(desk, to=Phase.EXPAND)
    execute(database, NEW)
    before = rows_of(database, "SELECT * FROM new ORDER BY id")
    planned = terms(desk, planned=True)
    run(desk)
    assert planned == terms(desk)
    found = fates(desk)
    merged = {key: into for key, (fate, into) in found.items() if fate == "merged"}
    assert {"1": "101", "2": "102", "3": "103", "5": "105"} == merged
    assert ("moved", "4") == found["4"]
    assert ("quarantined", SEVERAL) == found["7"]
    assert ("quarantined", TAKEN) == found["8"]
    assert before == rows_of(database, "SELECT * FROM new WHERE id > 100 ORDER BY id")
    execute(database, "DELETE FROM new WHERE id = 106; UPDATE new SET mail = ' AnA@x.pt' WHERE id = 101")
    execute(database, "DELETE FROM migrator.quarantine; DELETE FROM old WHERE id = 8")
    run(desk)
    assert ("merged", "107") == fates(desk)["7"]
    assert check(desk).proven
    execute(database, "UPDATE new SET mail = 'eve@x.pt' WHERE id = 101; UPDATE old SET mail = 'fay@x.pt' WHERE id = 6")
    assert {"altered": 1, "stale": 1} == dict(check(desk).comparisons[0].counts)
    back(desk, keep_new=True)
    assert [(101, "eve@x.pt"), (102, "ΜΑΡΊΑ@x.gr ")] == rows_of(database, "SELECT * FROM new ORDER BY id LIMIT 2")


def test_a_row_recognised_so_is_completed_where_it_is_empty(database: str, tmp_path: Path) -> None:
    """Fill works on it as on any other, and is taken back."""
    desk = one_table(
        tmp_path,
        database,
        columns="mail text, name text",
        rows=((1, "Ana@x.pt ", "Ana"),),
        parts={**FOLD, "fill": "'name'"},
    )
    run(desk, to=Phase.EXPAND)
    execute(database, "INSERT INTO new VALUES (101, 'ana@x.pt', NULL)")
    run(desk)
    assert [(101, "ana@x.pt", "Ana")] == rows_of(database, "SELECT * FROM new")
    assert check(desk).proven
    back(desk, keep_new=True)
    assert [(101, "ana@x.pt", None)] == rows_of(database, "SELECT * FROM new")


@pytest.mark.parametrize(
    ("merge", "index"), [("{'mail': sql('lower(btrim(mail))')}", INDEX), ("'mail'", "CREATE INDEX ON new (mail)")]
)
def test_a_batch_reads_what_an_index_finds_and_not_the_whole_target(
    database: str, tmp_path: Path, merge: str, index: str
) -> None:
    """However many rows the application has, and we have moved there; without such an index all of them are read."""
    rows = [(n, f"user{n}@x.pt") for n in range(1, BATCH + 1)]
    desk = one_table(tmp_path, database, columns="mail text", rows=rows, parts={"merge": merge})
    run(desk)
    execute(
        database,
        f"INSERT INTO new SELECT n, 'user' || n || '@x.pt' FROM generate_series(1000, 1000 + {MANY}) AS n;"
        f"INSERT INTO old SELECT 100000 + n, 'user' || n || '@x.pt' FROM generate_series(1001, 1000 + {BATCH}) AS n",
    )
    batch = (desk, (str(BATCH),), ("200000",))
    assert most_looked_at(database, rows_of_a_batch(*batch)) >= MANY
    execute(database, index)
    assert most_looked_at(database, rows_of_a_batch(*batch)) < 20 * BATCH
    run(desk)
    assert {("merged", ""): BATCH, ("moved", ""): BATCH} == terms(desk)


@pytest.mark.parametrize("fold", ["sql('lower(nothing)')", "sql('random()')"])
def test_an_expression_over_anything_else_is_refused(database: str, tmp_path: Path, fold: str) -> None:
    """It may read what both sides have: the columns of the target that the definition fills."""
    desk = one_table(tmp_path, database, rows=(), parts={"merge": f"{{'note': {fold}}}"})
    with pytest.raises(ConfigurationError, match=r"M153|M120"):
        use_cases.plan(desk)
