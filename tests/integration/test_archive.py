"""Archive there and back: names, rights and policies are as they were, to the letter."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from migrator.database.connect import Database
from migrator.database.inventory import objects
from migrator.database.renames import new_name
from migrator.model.errors import RefusedError
from migrator.model.step import Phase, State
from migrator.workflow import archiving, undoing, use_cases
from migrator.workflow.desk import open_desk
from migrator.workflow.status import status
from tests.support.archives import (
    AROUND,
    JOBS,
    PARTED,
    SHARED,
    everything,
    execute_each,
    put_away,
    verified,
    watches,
    with_roles,
)
from tests.support.kills import as_it_was
from tests.support.projects import back, check, execute, one_table, rows_of, run, settle, silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from migrator.workflow.desk import Desk


@pytest.fixture
def roles(database: str) -> Iterator[dict[str, str]]:
    """Make three roles of the test's own, and take them away with what they may."""
    names = {name: f"{name}_{uuid4().hex[:8]}" for name in ("one", "two", "three")}
    for one in names.values():
        execute(database, f"CREATE ROLE {one}")
    yield names
    execute(database, f"DROP SCHEMA public CASCADE; DROP ROLE {', '.join(names.values())}")


def archived(root: Path, url: str) -> Desk:
    """Make a small change and archive it."""
    desk = one_table(root, url, archive={"old": "_archived_old"})
    run(desk, to=Phase.VERIFY)
    assert State.ARCHIVED is put_away(desk).state
    return desk


def test_a_table_with_everything_goes_and_comes_back(database: str, tmp_path: Path, roles: dict[str, str]) -> None:
    """Indexes, keys both ways, triggers, policies, grants of several grantors, sequences: as they were, twice over."""
    desk = verified(tmp_path, database, with_roles(SHARED + JOBS + AROUND, roles))
    before = everything(database)
    notes = rows_of(database, "SELECT * FROM job_notes ORDER BY id")
    for _ in range(2):
        report = put_away(desk)
        assert (State.ARCHIVED, True) == (report.state, report.proven)
        named = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname ~ '^jobs'"
        assert [] == rows_of(database, named)
        owner = "SELECT (acl.grantee = c.relowner) FROM pg_class c, aclexplode(c.relacl) acl WHERE relname = %s"
        assert {(True,)} == set(rows_of(database, owner, ["_archived_jobs"]))
        assert [("never",)] == rows_of(database, "SELECT polname FROM pg_policy")
        assert notes == rows_of(database, "SELECT * FROM job_notes ORDER BY id")
        assert 0 == watches(database)
        assert State.VERIFIED is back(desk, to=Phase.VERIFY).state
        assert before == everything(database)
    assert check(desk).proven


def test_a_new_table_under_the_old_name_gets_plain_names(database: str, tmp_path: Path, roles: dict[str, str]) -> None:
    """G8: the same DDL makes the same objects again; no key is called jobs_pkey1."""
    desk = verified(tmp_path, database, with_roles(SHARED + JOBS + AROUND, roles))
    with Database(url=database).connect() as conn:
        before = objects(conn)
        put_away(desk)
        execute_each(database, with_roles(JOBS, roles))
        after = objects(conn)
    own = {name: said for name, said in before.items() if "jobs" in name and "lines" not in name + said}
    own = {name: said for name, said in own.items() if "job_notes" not in name and "newest" not in name}
    assert len(own) > 40
    assert {} == {name: (said, after.get(name)) for name, said in own.items() if after.get(name) != said}
    letters = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'jobs'::regclass AND conname ~ '[a-z][0-9]+$'"
    assert [(0,)] == rows_of(database, letters)


def test_partitions_are_shut_and_opened_too(database: str, tmp_path: Path, roles: dict[str, str]) -> None:
    """Whoever was let into a partition is not any more, at every depth; all is given back."""
    desk = verified(tmp_path, database, with_roles(PARTED, roles))
    before = everything(database)
    put_away(desk)
    others = (
        "SELECT c.relname FROM pg_class c, aclexplode(c.relacl) x WHERE x.grantee <> c.relowner"
        " AND c.relname LIKE '%jobs%' UNION ALL SELECT a.attname FROM pg_attribute a, aclexplode(a.attacl)"
    )
    assert [] == rows_of(database, others + " WHERE a.attrelid >= 16384")
    assert [] == rows_of(database, "SELECT polname FROM pg_policy")
    assert [(30,)] == rows_of(database, "SELECT count(*) FROM _archived_jobs")
    back(desk, to=Phase.VERIFY)
    assert before == everything(database)


def test_apply_archive_rollback_is_where_it_began(database: str, tmp_path: Path, roles: dict[str, str]) -> None:
    """A plain rollback takes the archive back first, then everything before it."""
    execute_each(database, with_roles(SHARED + JOBS + AROUND, roles))
    before = everything(database)
    desk = verified(tmp_path, database, "")
    put_away(desk)
    assert State.NEW is back(desk).state
    assert before == everything(database)
    assert [(0,)] == rows_of(database, "SELECT count(*) FROM migrator.step")


@pytest.mark.parametrize(
    ("to", "state"), [(Phase.VERIFY, "verified"), (Phase.BACKFILL, "copied"), (Phase.EXPAND, "expanded")]
)
def test_rollback_stops_where_it_is_told(database: str, tmp_path: Path, to: Phase, state: str) -> None:
    """Each phase before the archive can be gone back to, and forward from again."""
    desk = archived(tmp_path, database)
    assert state == back(desk, to=to).state.value
    assert [(3,)] == rows_of(database, "SELECT count(*) FROM old")
    assert State.VERIFIED is run(desk, to=Phase.VERIFY).state
    assert State.ARCHIVED is put_away(desk).state


def test_an_archived_change_is_done(database: str, tmp_path: Path) -> None:
    """Apply and archive find nothing to do, plan shows every Step as done, and nothing changes."""
    desk = archived(tmp_path, database)
    before = as_it_was(database)
    assert run(desk, to=Phase.VERIFY).nothing_done
    again = put_away(desk)
    assert (True, State.ARCHIVED) == (again.nothing_done, again.state)
    assert "kept until" in again.notes[0]
    plan = use_cases.plan(desk)
    assert [one.phase for one in plan.steps] == [Phase.EXPAND, Phase.BACKFILL, Phase.VERIFY, Phase.ARCHIVE]
    assert all(one.done for one in plan.steps)
    assert before == as_it_was(database)


@pytest.mark.parametrize(
    "act", [check, use_cases.verify_counts, use_cases.refuse_archived], ids=lambda one: one.__name__
)
def test_what_reads_the_sources_is_refused(database: str, tmp_path: Path, act: object) -> None:
    """Verify, verify-counts and backfill say that it is archived, which proof stands, and the way back."""
    desk = archived(tmp_path, database)
    with pytest.raises(RefusedError, match=r"old is now _archived_old; the proof of 20.* stands") as refused:
        act(desk)
    assert ("M438", 5) == (refused.value.id, refused.value.exit_code)
    assert "migrator rollback moving --to verify" in refused.value.cure


def test_a_write_into_the_archive_makes_the_proof_stale(database: str, tmp_path: Path) -> None:
    """The proof says what it is a proof of under the later name too: after a write, going back ends at copied."""
    desk = archived(tmp_path, database)
    execute(database, "UPDATE _archived_old SET note = 'changed' WHERE id = 1")
    settle(database)
    with pytest.raises(RefusedError, match="is stale"):
        check(desk)
    assert State.COPIED is back(desk, to=Phase.VERIFY).state


def test_status_says_what_is_archived_and_how_long(database: str, tmp_path: Path) -> None:
    """The line of a change names its archive and the date."""
    desk = archived(tmp_path, database)
    (line,) = status(desk.project, url=database)
    assert State.ARCHIVED is line.state
    assert any("old is now _archived_old, kept until 20" in one for one in line.reasons)


def test_drop_refuses_before_the_date_and_after(database: str, tmp_path: Path) -> None:
    """Too early it names the date; later it says what to do by hand. It never changes anything."""
    desk = archived(tmp_path, database)
    before = as_it_was(database)
    with pytest.raises(RefusedError, match="kept until 20") as early:
        archiving.drop(desk)
    past = """UPDATE migrator.step SET undo = jsonb_set(undo, '{keep_until}', '"2020-01-01T00:00:00+00:00"')"""
    execute(database, past + " WHERE phase = 'archive'")
    with pytest.raises(RefusedError, match="never drops") as late:
        archiving.drop(desk)
    assert ("M442", "M443") == (early.value.id, late.value.id)
    assert 'DROP TABLE "public"."_archived_old"' in late.value.cure
    assert before == as_it_was(database)


def test_what_took_the_old_name_is_named(database: str, tmp_path: Path) -> None:
    """A table, or an index of another table, under an old name: the way back refuses and says which."""
    desk = archived(tmp_path, database)
    execute(database, "CREATE TABLE old (id int); CREATE TABLE beside (id int CONSTRAINT old_pkey PRIMARY KEY)")
    before = as_it_was(database)
    with pytest.raises(RefusedError, match="a table is called old; something else is called old_pkey") as refused:
        back(desk)
    assert "M439" == refused.value.id
    assert before == as_it_was(database)
    execute(database, "DROP TABLE old, beside")
    assert State.NEW is back(desk).state


def test_an_archive_that_is_gone_is_told(database: str, tmp_path: Path) -> None:
    """Dropped by hand: status says so, and the way back refuses, because there are no rows to give back."""
    desk = archived(tmp_path, database)
    execute(database, "DROP TABLE _archived_old")
    (line,) = status(desk.project, url=database)
    assert any("_archived_old is not there any more" in one for one in line.reasons)
    with pytest.raises(RefusedError, match="no table _archived_old any more") as refused:
        back(desk)
    assert "M447" == refused.value.id
    assert [(3,)] == rows_of(database, "SELECT count(*) FROM new")


def test_a_role_that_is_gone_is_named(database: str, tmp_path: Path) -> None:
    """Rights of a role that was dropped meanwhile cannot be given back; nothing is changed until it is there."""
    role = f"gone_{uuid4().hex[:8]}"
    desk = one_table(tmp_path, database, archive={"old": "_archived_old"})
    execute(database, f"CREATE ROLE {role}; GRANT SELECT ON old TO {role}")
    before = everything(database)
    run(desk, to=Phase.VERIFY)
    put_away(desk)
    execute(database, f"DROP ROLE {role}")
    with pytest.raises(RefusedError, match=role) as refused:
        back(desk)
    assert "M446" == refused.value.id
    execute(database, f"CREATE ROLE {role}")
    back(desk)
    assert before == everything(database)
    execute(database, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_what_was_dropped_by_hand_does_not_keep_the_rest(database: str, tmp_path: Path) -> None:
    """An index of the archive that somebody dropped is told; all else comes back."""
    desk = one_table(tmp_path, database, archive={"old": "_archived_old"})
    execute(database, "CREATE INDEX old_note ON old (note)")
    run(desk, to=Phase.VERIFY)
    put_away(desk)
    execute(database, "DROP INDEX _archived_old_note")
    said: list[str] = []
    undoing.rollback(desk, to=Phase.VERIFY, listen=lambda event: said.append(event.title))
    assert "gone since the archive of old: _archived_old_note" in said
    assert [("old_pkey",)] == rows_of(
        database, "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'old'::regclass"
    )


def test_other_tables_in_the_file_than_archived_are_refused(database: str, tmp_path: Path) -> None:
    """What migrator.toml names later does not silently count as archived."""
    archived(tmp_path, database)
    execute(database, "CREATE TABLE unlike (id int)")
    other = one_table_again(tmp_path, database, {"old": "_put_away_old"})
    with pytest.raises(RefusedError, match="other tables than") as refused:
        put_away(other)
    assert "M441" == refused.value.id


def one_table_again(root: Path, url: str, archive: dict[str, str]) -> Desk:
    """Open the same project with another archive."""
    file = root / "migrator.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("_archived_old", archive["old"]), encoding="utf-8")
    return open_desk("moving", config=str(root), url=url)


def test_dry_run_shows_sql_and_who_depends(database: str, tmp_path: Path, roles: dict[str, str]) -> None:
    """What follows the table by its number and what says its name are hazards; nothing is changed."""
    desk = verified(tmp_path, database, with_roles(SHARED + JOBS + AROUND, roles))
    execute(database, "CREATE PUBLICATION sends FOR TABLE jobs")
    before = everything(database)
    plan, refusals = archiving.foresee(desk)
    assert () == refusals
    (step,) = plan.steps
    assert 'ALTER TABLE "public"."jobs" RENAME TO "_archived_jobs";' == step.preview.sql[-1]
    assert "ACCESS EXCLUSIVE on jobs" == step.preview.locks
    said = {one.id: one.what for one in plan.hazards}
    assert "foreign key lines_job_fkey of lines, function newest(), view job_notes follow jobs" in said["H120"]
    assert said["H121"].startswith("function count_jobs() say")
    assert "publication sends" in said["H122"]
    shown = use_cases.plan(desk)
    assert [(Phase.ARCHIVE, False)] == [(one.phase, one.done) for one in shown.steps if not one.done]
    assert () == shown.pending
    assert before == everything(database)


def test_names_stay_unique_and_short() -> None:
    """A name that does not fit or is taken is cut and marked; the same one always the same way."""
    assert "_archived_jobs_pkey" == new_name("jobs_pkey", "jobs", "_archived_jobs", set())
    assert "_archived_odd" == new_name("odd", "jobs", "_archived_jobs", set())
    long = "jobs_" + "ä" * 29
    cut = new_name(long, "jobs", "_archived_jobs", set())
    assert len(cut.encode()) <= 63
    assert cut == new_name(long, "jobs", "_archived_jobs", set())
    assert cut != new_name(long, "jobs", "_archived_jobs", {cut})
    assert "_archived_odd" != new_name("odd", "jobs", "_archived_jobs", {"_archived_odd"})


def test_listeners_hear_of_the_watch(database: str, tmp_path: Path) -> None:
    """The Step is told twice: that it is watched, and that it is done."""
    desk = one_table(tmp_path, database, archive={"old": "_archived_old"})
    run(desk, to=Phase.VERIFY)
    said: list[tuple[str, str]] = []
    archiving.archive(desk, listen=lambda event: said.append((event.kind, event.title)))
    assert ("step", "watch old → _archived_old") in said
    assert ("done", "old → _archived_old") in said
    silent(None)
