"""A table that is there already: adopted where it is equal, brought over act by act where it can be, else refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from migrator.database import revisions
from migrator.demo.output_type_tables import build_legacy
from migrator.model.errors import RefusedError
from migrator.model.step import Phase
from migrator.workflow import change_steps, use_cases
from migrator.workflow.desk import open_desk
from migrator.workflow.use_cases import status_facts
from tests.support.databases import Databases
from tests.support.guide_000 import ATTEMPTS, GUIDE, GUIDE_BACK, ORM, SCRIPT
from tests.support.kills import as_it_was
from tests.support.projects import back, check, definition, execute, make_project, rows_of, run, silent
from tests.support.scratch import beside

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quickly(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at what revisions declare on databases beside."""
    with ExitStack() as stack:
        monkeypatch.setattr(change_steps, "declare", beside(databases, stack))
        yield


def guide(tmp_path: Path, url: str):
    """Write a project whose one revision is the guide's DDL."""
    execute(url, "CREATE TABLE IF NOT EXISTS public.old (id bigint PRIMARY KEY)")
    columns = {"id": "derived_uuid()", "email": "sql(\"'job ' || id || '@example.com'\")"}
    source = definition(columns, target="'jobs'")
    return make_project(tmp_path, url, ddl_up=GUIDE, ddl_down=GUIDE_BACK, backfills={"jobs_from_old": source})


def expanded(desk):
    """Expand a change, and give the origin of its Step."""
    run(desk, to=Phase.EXPAND)
    (step,) = [one for one in status_facts(desk).steps if one.phase is Phase.EXPAND]
    return step


def test_g1_a_table_that_is_equal_is_adopted(database: str, tmp_path: Path) -> None:
    """Shape (a): nothing is run, the revision is recorded as adopted; a rollback drops nothing."""
    execute(database, GUIDE)
    execute(database, "ALTER TABLE jobs RENAME CONSTRAINT fk_jobs_selected_restore TO whatever")
    desk = guide(tmp_path, database)
    before = as_it_was(database)
    plan = use_cases.plan(desk)
    assert "adopt jobs, restore_attempts, animation_attempts" in plan.steps[0].title
    assert not plan.steps[0].preview.sql
    step = expanded(desk)
    assert ("adopted", "done", []) == (step.origin, step.status, step.undo["acts"])
    assert before == as_it_was(database)
    assert "expanded" == status_facts(desk).state
    back(desk)
    assert before == as_it_was(database)
    assert "new" == status_facts(desk).state


def test_g1_what_an_orm_made_is_brought_over_and_goes_back_exactly(database: str, tmp_path: Path) -> None:
    """Shape (b): types widen, json becomes jsonb, keys and defaults come; undone, every json text is the old one."""
    execute(database, ORM)
    execute(database, ATTEMPTS)
    desk = guide(tmp_path, database)
    execute(database, "INSERT INTO old VALUES (1), (2)")
    before = as_it_was(database)
    plan = use_cases.plan(desk)
    sql = "\n".join(plan.steps[0].preview.sql)
    assert 'ALTER COLUMN "params" TYPE jsonb' in sql
    assert "NOT VALID" in sql
    assert "H114" in {one.id for one in plan.hazards}
    assert "adopted" == expanded(desk).origin
    (shape,) = rows_of(
        database,
        "SELECT (SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid = 'restore_attempts'::regclass AND attnum > 0),"
        " (SELECT count(*) FROM pg_constraint WHERE conrelid = 'jobs'::regclass AND contype = 'f' AND convalidated),"
        " (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'jobs'::regclass AND adnum = 1)",
    )
    assert ("uuid uuid text text jsonb timestamp with time zone", 2, "gen_random_uuid()") == shape
    run(desk, to=Phase.VERIFY)
    assert check(desk).proven
    assert [(11,)] == rows_of(database, "SELECT count(*) FROM jobs")
    assert use_cases.apply(desk, listen=lambda _: None).nothing_done
    back(desk)
    assert before == as_it_was(database)


def test_g1_what_cannot_be_brought_over_is_refused_with_all_of_it(database: str, tmp_path: Path) -> None:
    """Shape (c), and more: what stands against it, and what could be mended; nothing is written."""
    execute(database, SCRIPT)
    execute(database, "ALTER TABLE jobs ADD owner bigint NOT NULL, ADD UNIQUE (email)")
    desk = guide(tmp_path, database)
    before = as_it_was(database)
    for verb in (use_cases.plan, run):
        with pytest.raises(RefusedError) as refused:
            verb(desk)
        assert "M209" == refused.value.id
        said = refused.value.what
        assert 'column "owner" is not declared, is NOT NULL and has no default' in said
        assert "unique jobs_email_key: UNIQUE (email) is not declared, and may refuse our rows" in said
        assert "declared: FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE [could be brought" in said
        assert 'restore_attempts: column "s3_key" is nullable, declared: NOT NULL [could be brought over]' in said
        assert 'column "email" is character varying(255), declared: text [could be brought over]' in said
    assert before == as_it_was(database)
    assert [(None,)] == rows_of(database, "SELECT to_regclass('migrator.meta')")


# What became of V's tables between the guide and a dump: the seventh of these is a check that was made again (T7).
DRIFT = {
    "no trigger": "DROP TRIGGER video_jobs_updated_at_trigger ON video_jobs",
    "no row security": "ALTER TABLE video_jobs DISABLE ROW LEVEL SECURITY",
    "one policy less": "DROP POLICY video_jobs_delete_own ON video_jobs",
    "no index": "DROP INDEX idx_video_jobs_status; DROP INDEX idx_video_jobs_created_at",
    "another name": "ALTER TABLE video_jobs RENAME CONSTRAINT video_jobs_comfy_job_id_key TO video_jobs_key1",
    "no owner": "ALTER TABLE video_jobs DROP CONSTRAINT video_jobs_user_id_fkey",
    "columns gone": "ALTER TABLE video_jobs DROP processing_time_seconds, DROP error_message, DROP fps",
}
REFUSED = {
    "a word forgotten": (
        "ALTER TABLE video_jobs DROP CONSTRAINT video_jobs_status_check,"
        " ADD CONSTRAINT video_jobs_status_check CHECK (status IN ('pending', 'processing', 'completed'))",
        "it forbids 'failed', which is declared",
    ),
    "everybody reads": ("CREATE POLICY everybody ON video_jobs USING (true)", "may show our rows to more people"),
    "a tenant": ("ALTER TABLE video_jobs ADD tenant int NOT NULL", "has no default: our rows would have no value"),
    "another body": (
        "CREATE OR REPLACE FUNCTION update_video_jobs_updated_at() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN new; END'",
        "update_video_jobs_updated_at() has another body",
    ),
}


def by_hand(url: str) -> None:
    """Make the legacy database, and in it the guide's tables as somebody who ran the SQL by hand."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        build_legacy(conn)
    for revision in ("0001", "0002"):
        execute(url, revisions.offline_sql(ROOT / "revisions", "output_type_tables", revision))


def documented(url: str):
    """Open the documented change."""
    return open_desk("output_type_tables", config=str(ROOT), url=url)


def test_t14_tables_that_exist_already_are_compared_and_not_ignored(database_from) -> None:
    """T14: run by hand and drifted since, both tables are brought over, proven, and left as they were found."""
    url = database_from("the guide by hand", by_hand)
    for one in DRIFT.values():
        execute(url, one)
    before = as_it_was(url)
    desk = documented(url)
    assert ["0001", "0002"] == [one.name for one in use_cases.plan(desk, count=False).steps[:2]]
    report = use_cases.apply(desk, listen=silent)
    assert all(one.proven for one in report.verdicts if "as expand left" in one.claim)
    assert all(one.proven for one in report.comparisons)
    origins = {
        one.name: (one.origin, bool(one.undo.get("acts")))
        for one in status_facts(desk).steps
        if one.phase is Phase.EXPAND
    }
    assert {"0001": ("adopted", True), "0002": ("adopted", False), "0003": ("created", False)} == origins
    (security,) = rows_of(url, "SELECT relrowsecurity FROM pg_class WHERE oid = 'video_jobs'::regclass")
    assert security == (True,)
    back(desk)
    assert before == as_it_was(url)


@pytest.mark.parametrize("drift", sorted(REFUSED))
def test_t7_what_forbids_or_shows_our_rows_is_refused(drift: str, database_from) -> None:
    """T7 and others: a declared word that is forbidden, a policy for everybody, a column that nobody fills."""
    url = database_from("the guide by hand", by_hand)
    change, why = REFUSED[drift]
    execute(url, change)
    before = as_it_was(url)
    with pytest.raises(RefusedError, match="M209") as refused:
        run(documented(url))
    assert why in refused.value.what
    assert before == as_it_was(url)


ROOMS = """
CREATE TYPE mood AS ENUM ('good', 'bad', 'worst');
CREATE TABLE rooms (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number int UNIQUE, place int, during int4range, mood mood NOT NULL DEFAULT 'good',
    CONSTRAINT one_guest EXCLUDE USING gist (during WITH &&),
    CONSTRAINT one_place EXCLUDE USING hash (place WITH =))
"""
AS_FOUND = """
CREATE TYPE mood AS ENUM ('good', 'worst');
CREATE TABLE rooms (
    id bigint PRIMARY KEY, number int UNIQUE, place int, during int4range, mood mood NOT NULL DEFAULT 'good',
    CONSTRAINT someone EXCLUDE USING gist (during WITH &&));
INSERT INTO rooms SELECT i, i, i, int4range(i, i + 1), 'worst' FROM generate_series(11, 15) AS i
"""
LABELS = "SELECT array_agg(enumlabel ORDER BY enumsortorder)::text FROM pg_enum"


def rooms(tmp_path: Path, url: str, more: tuple[str, ...] = ()):
    """Write a project whose revision makes the table of rooms."""
    execute(url, "CREATE TABLE old (id bigint PRIMARY KEY); INSERT INTO old VALUES (1), (2)")
    columns = {
        "number": "sql('id::int')",
        "mood": "constant('bad')",
        **dict.fromkeys(("place", "during"), "missing('nobody said')"),
    }
    source = definition(columns, target="'rooms'", identity="'number'")
    downs = ["DROP TABLE rooms; DROP TYPE mood", *("SELECT 1" for _ in more)]
    return make_project(tmp_path, url, ddl_up=[ROOMS, *more], ddl_down=downs, backfills={"rooms_from_old": source})


def test_exclusions_identities_and_labels_that_are_equal_are_adopted(database: str, tmp_path: Path) -> None:
    """Nothing is run; a label more is a note, and the table stays as it was."""
    execute(database, ROOMS)
    execute(database, "ALTER TYPE mood ADD VALUE 'none'")
    execute(database, "ALTER TABLE rooms RENAME CONSTRAINT one_guest TO another")
    desk = rooms(tmp_path, database)
    before = as_it_was(database)
    plan = use_cases.plan(desk)
    assert not plan.steps[0].preview.sql
    assert any("type public.mood has none beside what is declared" in one for one in plan.notes)
    step = expanded(desk)
    assert ("adopted", []) == (step.origin, step.undo["acts"])
    back(desk)
    assert before == as_it_was(database)


def test_an_exclusion_an_identity_and_a_label_that_are_missing_come_and_go(database: str, tmp_path: Path) -> None:
    """The plan says that undo makes the type anew; after it everything is as it was found, rows too."""
    execute(database, AS_FOUND)
    desk = rooms(tmp_path, database)
    before = as_it_was(database)
    plan = use_cases.plan(desk)
    sql = "\n".join(plan.steps[0].preview.sql)
    assert "ALTER TYPE public.mood ADD VALUE IF NOT EXISTS 'bad' AFTER 'good'" in sql
    assert "label bad of type public.mood is missing; undo makes the type anew and rewrites rooms" in sql
    assert "H116" in {one.id for one in plan.hazards}
    assert before == as_it_was(database)
    run(desk, to=Phase.VERIFY)
    assert check(desk).proven
    assert [("{good,bad,worst}",)] == rows_of(database, LABELS)
    ours = rows_of(database, "SELECT id, number, mood::text FROM rooms WHERE number < 3")
    assert [(16, 1, "bad"), (17, 2, "bad")] == ours
    back(desk)
    assert before == as_it_was(database)


def test_rows_that_exclude_each_other_or_hold_a_new_label_are_counted_first(database: str, tmp_path: Path) -> None:
    """M216 before anything is written, and M218 before a label goes that somebody uses by now."""
    execute(database, AS_FOUND)
    execute(database, "UPDATE rooms SET place = 12 WHERE id < 14")
    desk = rooms(tmp_path, database)
    before = as_it_was(database)
    with pytest.raises(RefusedError, match=r"rooms: 3 rows: EXCLUDE USING hash \(place WITH =\)") as refused:
        run(desk)
    assert "M216" == refused.value.id
    assert before == as_it_was(database)
    execute(database, "UPDATE rooms SET place = id")
    run(desk, to=Phase.EXPAND)
    execute(database, "UPDATE rooms SET mood = 'bad' WHERE id = 11")
    with pytest.raises(RefusedError, match="rooms: 1 row: mood is bad") as refused:
        back(desk)
    assert "M218" == refused.value.id
    execute(database, "UPDATE rooms SET mood = 'worst' WHERE id = 11")
    back(desk)
    assert [("{good,worst}",)] == rows_of(database, LABELS)


def test_a_label_of_a_type_that_cannot_be_made_anew_is_refused(database: str, tmp_path: Path) -> None:
    """A view knows the type's column: the refusal says so, and gives the statement to whoever wants it for ever."""
    execute(database, AS_FOUND)
    execute(database, "CREATE VIEW moods AS SELECT mood FROM rooms")
    desk = rooms(tmp_path, database)
    with pytest.raises(RefusedError) as refused:
        run(desk)
    assert "M209" == refused.value.id
    assert (
        "PostgreSQL takes no label back, and the type cannot be made anew because of column mood of view"
        in refused.value.what
    )
    assert "ALTER TYPE public.mood ADD VALUE IF NOT EXISTS 'bad' AFTER 'good'" in refused.value.what


def test_labels_of_a_later_revision_that_are_there_are_adopted_too(database: str, tmp_path: Path) -> None:
    """Where everything was run by hand, the revision that adds a label finds it, and is not run."""
    execute(database, ROOMS)
    execute(database, "ALTER TYPE mood ADD VALUE 'none'")
    desk = rooms(tmp_path, database, ("ALTER TYPE mood ADD VALUE 'none'",))
    before = as_it_was(database)
    run(desk, to=Phase.EXPAND)
    origins = [one.origin for one in status_facts(desk).steps if one.phase is Phase.EXPAND]
    assert ["adopted", "adopted"] == origins
    back(desk)
    assert before == as_it_was(database)
