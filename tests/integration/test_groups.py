"""Many rows to one: the first of a group is moved, the others are merged into what it became."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.model.errors import ConfigurationError, UsageError
from migrator.model.step import Event, Phase
from migrator.workflow import use_cases
from tests.support.projects import (
    MOVE,
    back,
    check,
    definition,
    execute,
    fates,
    make_project,
    one_table,
    rows_of,
    run,
    terms,
)

MAIL = "mail text, at int"
ROWS = (
    (1, "Ana@x.pt", 30),
    (2, "ana@x.pt ", 10),
    (3, "bo@x.pt", 20),
    (4, None, 1),
    (5, None, 2),
    (6, "BO@x.pt", 25),
    (7, "ANA@X.PT", 20),
)
BY = {"group": "grouped(by=sql('lower(btrim(mail))'), order=('at', 'id'))"}
FOLLOWS = "another row of its group stands for it"


@pytest.mark.every_server
def test_the_first_of_a_group_is_moved_and_the_others_follow_it(database: str, tmp_path: Path) -> None:
    """There, proven, back and there again: three groups of seven rows."""
    desk = one_table(tmp_path, database, columns=MAIL, rows=ROWS, parts=BY)
    expected = {("moved", ""): 4, ("merged", FOLLOWS): 3}
    assert expected == terms(desk, planned=True)
    for _ in range(2):
        run(desk)
        assert expected == terms(desk)
        assert [(2,), (3,), (4,), (5,)] == rows_of(database, "SELECT id FROM new ORDER BY id")
        followed = {"1": ("merged", "2"), "7": ("merged", "2"), "6": ("merged", "3")}
        assert followed.items() <= fates(desk).items()
        assert check(desk).proven
        assert not run(desk).steps
        back(desk)
        assert [(7, None)] == rows_of(database, "SELECT count(*), to_regclass('public.new') FROM old")


def test_new_members_join_the_winner_that_is_there(database: str, tmp_path: Path) -> None:
    """A row that comes later never wins against one that was moved, whatever the order says."""
    desk = one_table(tmp_path, database, columns=MAIL, rows=ROWS, parts=BY)
    run(desk)
    execute(
        database, "INSERT INTO old VALUES (0, 'ana@x.pt', 0), (8, ' BO@x.pt', 0), (9, 'cy@x.pt', 9), (10, 'CY@x.pt', 8)"
    )
    assert 4 == terms(desk)["pending", "to be moved or merged"]
    run(desk)
    found = fates(desk)
    assert [("merged", "2"), ("merged", "3"), ("merged", "10"), ("moved", "10")] == [
        found[one] for one in ("0", "8", "9", "10")
    ]
    assert check(desk).proven


def test_a_row_that_changed_its_group_is_named_and_taken_anew(database: str, tmp_path: Path) -> None:
    """One that follows goes to its new winner; one that was moved stays, and verify says that it belongs elsewhere."""
    desk = one_table(tmp_path, database, columns=MAIL, rows=ROWS, parts=BY)
    run(desk)
    execute(database, "UPDATE old SET mail = 'bo@x.pt' WHERE id = 7; UPDATE old SET mail = 'dan@x.pt' WHERE id = 1")
    found = check(desk).comparisons[0]
    notes = {"1": "it belongs to 1 now", "7": "it belongs to 3 now"}
    assert notes == {one.source_key["id"]: one.note for one in found.rows}
    run(desk)
    assert {"1": ("moved", "1"), "7": ("merged", "3")}.items() <= fates(desk).items()
    assert check(desk).proven
    execute(database, "UPDATE old SET mail = 'bo@x.pt' WHERE id = 2")
    run(desk)
    assert {"3": "it belongs to 2 now"} == {
        one.source_key["id"]: one.note for one in check(desk).comparisons[0].rows if one.note
    }


def test_rows_whose_winner_cannot_move_wait_with_it(database: str, tmp_path: Path) -> None:
    """They are quarantined by a reason of their own which names it, and one retry takes all."""
    desk = one_table(
        tmp_path,
        database,
        columns=MAIL,
        rows=ROWS,
        target="mail text CHECK (mail <> 'ana@x.pt '), at int",
        parts=BY,
    )
    reason = "the row it belongs to could not move"
    planned = terms(desk, planned=True)
    assert (2, 1) == (planned["quarantined", reason], planned["merged", FOLLOWS])
    run(desk)
    assert planned == terms(desk)
    held = "SELECT source_key[1], message FROM migrator.quarantine WHERE reason = %s ORDER BY 1"
    assert [("1", "2"), ("7", "2")] == rows_of(database, held, [reason])
    execute(
        database,
        "UPDATE old SET mail = 'ana@x.pt' WHERE id = 2; DELETE FROM migrator.quarantine WHERE source_key = '{2}'",
    )
    run(desk)
    assert {("moved", ""): 4, ("merged", FOLLOWS): 3} == terms(desk)
    assert check(desk).proven


def test_rules_take_rows_before_their_groups_do(database: str, tmp_path: Path) -> None:
    """A row that a rule skips does not win, and one that follows is skipped by a rule all the same."""
    parts = {**BY, "skip": "{'early': sql('at = 10')}", "quarantine": "{'odd': sql('at = 25')}"}
    desk = one_table(tmp_path, database, columns=MAIL, rows=ROWS, parts=parts)
    expected = {("moved", ""): 4, ("merged", FOLLOWS): 1, ("skipped", "early"): 1, ("quarantined", "odd"): 1}
    assert expected == terms(desk, planned=True)
    run(desk)
    assert expected == terms(desk)
    assert ("merged", "7") == fates(desk)["1"]


def test_a_winner_that_is_deleted_keeps_its_group_together(database: str, tmp_path: Path) -> None:
    """Its target row is named as one too many; nobody else of the group is moved in its place."""
    desk = one_table(tmp_path, database, columns=MAIL, rows=ROWS, parts=BY)
    run(desk)
    execute(database, "DELETE FROM old WHERE id = 2; INSERT INTO old VALUES (11, 'ANA@x.pt', 1)")
    run(desk)
    assert ("merged", "2") == fates(desk)["11"] == fates(desk)["1"]
    report = check(desk)
    assert {"extra": 1} == dict(report.comparisons[0].counts)
    assert "2" == report.comparisons[0].rows[0].source_key["id"]
    assert 1 == report.balances[0].unaccounted


PAIRS = "paired(sql('SELECT l.id AS key1, w.id AS winner1 FROM old l JOIN old w ON {}'))"


def test_groups_may_be_given_as_pairs(database: str, tmp_path: Path) -> None:
    """A query says which row follows which; all others stand for themselves."""
    parts = {"group": PAIRS.format("lower(l.mail) = lower(w.mail) AND w.at = 20")}
    desk = one_table(tmp_path, database, columns=MAIL, rows=ROWS, parts=parts)
    expected = {("moved", ""): 5, ("merged", FOLLOWS): 2}
    assert expected == terms(desk, planned=True)
    run(desk)
    assert expected == terms(desk)
    assert {"1": ("merged", "7"), "2": ("moved", "2"), "6": ("merged", "3")}.items() <= fates(desk).items()
    assert check(desk).proven
    back(desk)


@pytest.mark.parametrize(
    ("on", "named"),
    [
        ("w.id = l.id + 1", "1 follows 2; 2 follows 3; 3 follows 4"),
        ("l.id + w.id = 3", "1 follows 2; 2 follows 1"),
        ("l.id = 1 AND w.id IN (2, 3)", "1 follows 2; 1 follows 3"),
    ],
)
def test_pairs_that_lead_nowhere_are_refused(database: str, tmp_path: Path, on: str, named: str) -> None:
    """A chain, a circle and two winners are an error that names the keys, before anything is changed."""
    desk = one_table(tmp_path, database, columns=MAIL, rows=ROWS, parts={"group": PAIRS.format(on)})
    with pytest.raises(UsageError, match=named) as caught:
        use_cases.plan(desk)
    assert "M151" == caught.value.id


def test_a_group_that_raises_is_told(database: str, tmp_path: Path) -> None:
    """The definition is at fault, not a row: without its group no row's fate can be told."""
    desk = one_table(tmp_path, database, columns=MAIL, rows=ROWS, parts={"group": "grouped(by=sql('1 / (at - 10)'))"})
    with pytest.raises(UsageError, match="M152"):
        use_cases.plan(desk)
    desk = one_table(
        tmp_path, database, columns=MAIL, rows=(), before="DROP TABLE old", parts={"group": "grouped(by=sql('nix'))"}
    )
    with pytest.raises(ConfigurationError, match="M150"):
        use_cases.plan(desk)


def test_a_group_declared_later_takes_what_comes_later(database: str, tmp_path: Path) -> None:
    """Rows that were moved for themselves stay, and are named where another one stands for their group."""
    desk = one_table(tmp_path, database, columns=MAIL, rows=ROWS[:3])
    run(desk)
    execute(database, "INSERT INTO old VALUES (6, 'BO@x.pt', 25), (7, 'ANA@x.pt', 5)")
    desk = make_project(
        tmp_path, database, backfills={MOVE: definition({"id": "'id'", "mail": "'mail'", "at": "'at'"}, **BY)}
    )
    run(desk)
    assert {"1": ("moved", "1"), "2": ("moved", "2"), "6": ("merged", "3"), "7": ("merged", "2")}.items() <= fates(
        desk
    ).items()
    assert [("1", "it belongs to 2 now")] == [
        (one.source_key["id"], one.note) for one in check(desk).comparisons[0].rows
    ]
    back(desk)


def test_rows_written_while_others_are_copied_join_the_winner_that_was_found(database: str, tmp_path: Path) -> None:
    """One that comes after the groups were ranked is not taken by the batch that meets it, but behind its winner."""
    desk = one_table(tmp_path, database, columns=MAIL, rows=ROWS, parts=BY, settings={"batch_rows": 2})
    late = ["INSERT INTO old VALUES (8, 'bo@x.pt', 0), (9, 'eve@x.pt', 2), (10, 'Eve@x.pt', 1)"]

    def listen(event: Event) -> None:
        if event.kind == "progress" and late:
            execute(database, late.pop())

    use_cases.apply(desk, to=Phase.BACKFILL, listen=listen)
    assert not late
    expected = {"6": ("merged", "3"), "8": ("merged", "3"), "9": ("merged", "10"), "10": ("moved", "10")}
    assert expected.items() <= fates(desk).items()
    assert check(desk).proven
