"""A second apply brings moved rows up to date whose source rows changed since, and nothing else."""

from __future__ import annotations

from pathlib import Path

from migrator.workflow import use_cases
from tests.support.projects import check, definition, execute, make_project, one_table, rows_of, run, settle, silent

SEEN = "SELECT id, note FROM new ORDER BY id"


def again(desk):
    """Apply to the end, once the server's counters know of all that was written."""
    settle(desk.database.url)
    return use_cases.apply(desk, listen=silent)


def test_rows_changed_since_follow_their_source(database: str, tmp_path: Path) -> None:
    """A row copied early and changed later is as its source row is now, and proven."""
    desk = one_table(tmp_path, database)
    assert again(desk).proven
    execute(database, "UPDATE old SET note = 'later' WHERE id = 2")
    assert {"stale": 1} == dict(check(desk).comparisons[0].counts)
    report = again(desk)
    assert [{"updated": 1}] == [dict(one.detail) for one in report.steps if "updated" in one.detail]
    assert report.proven
    assert [(1, "one"), (2, "later"), (3, None)] == rows_of(database, SEEN)
    assert again(desk).nothing_done


def test_what_the_application_changed_is_left_alone(database: str, tmp_path: Path) -> None:
    """A target row that is no longer as we wrote it is never overwritten; verify names it."""
    desk = one_table(tmp_path, database)
    again(desk)
    execute(database, "UPDATE new SET note = 'mine' WHERE id = 2; UPDATE old SET note = 'later' WHERE id = 2")
    report = again(desk)
    assert not report.proven
    assert {"altered": 1} == dict(report.comparisons[0].counts)
    assert (2, "mine") in rows_of(database, SEEN)


def test_a_row_that_was_deleted_does_not_come_back(database: str, tmp_path: Path) -> None:
    """What the application deleted stays deleted, and is named as lost."""
    desk = one_table(tmp_path, database)
    again(desk)
    execute(database, "DELETE FROM new WHERE id = 2; UPDATE old SET note = 'later' WHERE id = 2")
    assert {"lost": 1} == dict(again(desk).comparisons[0].counts)
    assert [(1, "one"), (3, None)] == rows_of(database, SEEN)


def test_a_row_that_cannot_follow_stays_stale_and_the_others_go_on(database: str, tmp_path: Path) -> None:
    """A trigger that forbids one row holds back that row alone."""
    forbid = (
        "CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF new.note = ''no'' THEN RAISE EXCEPTION ''never''; END IF; RETURN new; END';"
        "CREATE TRIGGER forbid BEFORE UPDATE ON new FOR EACH ROW EXECUTE FUNCTION forbid()"
    )
    desk = one_table(
        tmp_path,
        database,
        rows=[(number, str(number)) for number in range(1, 41)],
        also=forbid,
        ddl_down="DROP TABLE new; DROP FUNCTION forbid()",
    )
    again(desk)
    execute(database, "UPDATE old SET note = CASE id WHEN 17 THEN 'no' ELSE 'yes' END WHERE id > 10")
    report = again(desk)
    assert [("stale", {"id": "17"})] == [(one.kind, dict(one.source_key)) for one in report.comparisons[0].rows]
    assert [("yes", 29)] == rows_of(database, "SELECT note, count(*) FROM new WHERE note = 'yes' GROUP BY 1")


def test_an_edited_definition_reaches_the_rows_moved_before(database: str, tmp_path: Path) -> None:
    """After the definition changed, a second apply makes every row what it says now."""
    run(one_table(tmp_path, database))
    ddl = "CREATE TABLE new (id bigint PRIMARY KEY, note text)"
    upper = {"move_old_to_new": definition({"id": 'column("id")', "note": 'sql("upper(note)")'})}
    desk = make_project(tmp_path, database, ddl_up=ddl, backfills=upper)
    assert {"stale": 2} == dict(check(desk).comparisons[0].counts)
    assert again(desk).proven
    assert [(1, "ONE"), (2, "TWO"), (3, None)] == rows_of(database, SEEN)


def test_history_keeps_its_own_time(database: str, tmp_path: Path) -> None:
    """A guarded updated_at trigger does not fire while rows catch up."""
    stamp = (
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.note = ''stamped''; RETURN new; END';"
        "CREATE TRIGGER stamp BEFORE UPDATE ON new FOR EACH ROW"
        " WHEN (coalesce(current_setting('migrator.applying', true), '') = '') EXECUTE FUNCTION stamp()"
    )
    desk = one_table(tmp_path, database, also=stamp, ddl_down="DROP TABLE new; DROP FUNCTION stamp()")
    again(desk)
    execute(database, "UPDATE old SET note = 'later' WHERE id = 2")
    assert again(desk).proven
    assert (2, "later") in rows_of(database, SEEN)
