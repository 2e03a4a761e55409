"""In place: rows of a live table are written where they are, proven, and put back as they were."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migrator.model.cohorts import Asked
from migrator.model.errors import RefusedError
from migrator.model.step import Phase
from migrator.workflow import cohorts, undoing, use_cases
from migrator.workflow.desk import Desk
from tests.support.kills import Child
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
    settle,
    silent,
    terms,
)

SOURCE = """
CREATE TYPE "JobStatus" AS ENUM ('PENDING', 'RUNNING', 'COMPLETED');
CREATE TABLE "Job" (
    "id" text PRIMARY KEY, "status" text NOT NULL, "payload" text,
    "updatedAt" timestamp(3) NOT NULL DEFAULT '2026-01-01', "was" "JobStatus");
INSERT INTO "Job" VALUES ('a', 'PENDING', 'x'), ('b', 'completed ', 'y'), ('c', 'DONE', NULL), ('d', 'RUNNING', 'z'),
    ('e', 'off', 'left alone');
ALTER TABLE "Job" ENABLE ROW LEVEL SECURITY
"""
MORE = "ALTER TYPE \"JobStatus\" ADD VALUE IF NOT EXISTS 'CANCELLED'"
UP = 'ALTER TABLE "Job" ADD "status_new" "JobStatus", ADD "at" timestamp(3), ADD "size" int DEFAULT 0'
DOWN = 'ALTER TABLE "Job" DROP COLUMN "status_new", DROP COLUMN "at", DROP COLUMN "size"'
FILL = """
backfill = Backfill(
    source="Job", key="id", target="Job",
    skip={"switched off": sql("status = 'off'"), "cancelled": sql("was = 'CANCELLED'")},
    columns={
        "status_new": lookup(
            sql("upper(btrim(status))"), {"PENDING": "PENDING", "RUNNING": "RUNNING", "COMPLETED": "COMPLETED"}),
        "at": sql('"updatedAt" + interval \\'1 s\\''),
        "size": sql("length(payload)"),
    },
)
"""
SEEN = 'SELECT id, status, status_new::text, at::text, size FROM "Job" ORDER BY id'
MOMENT = "2026-01-01 00:00:01"
WRITTEN = [
    ("a", "PENDING", "PENDING", MOMENT, 1),
    ("b", "completed ", "COMPLETED", MOMENT, 1),
    ("c", "DONE", None, None, 0),
    ("d", "RUNNING", "RUNNING", MOMENT, 1),
    ("e", "off", None, None, 0),
]


def filling(tmp_path: Path, url: str, **more: object) -> Desk:
    """Make the table and a project that fills three columns which its own revision adds."""
    execute(url, SOURCE)
    downs = ["SELECT 1", DOWN]
    return make_project(tmp_path, url, ddl_up=[MORE, UP], ddl_down=downs, backfills={"fill": FILL}, **more)


def apply(desk: Desk) -> object:
    """Apply to the end."""
    settle(desk.database.url)
    return use_cases.apply(desk, listen=silent)


@pytest.mark.every_server
def test_columns_that_the_change_adds_are_filled_there_back_and_there_again(database: str, tmp_path: Path) -> None:
    """Foretold before expand, written, proven, put back, and written again; other columns and rows are as they were."""
    desk = filling(tmp_path, database)
    was = rows_of(database, 'SELECT * FROM "Job" ORDER BY id')
    foretold = {("moved", ""): 3, ("skipped", "switched off"): 1, ("quarantined", "status_new: unknown word"): 1}
    assert foretold == terms(desk, "fill", planned=True)
    report = apply(desk)
    assert WRITTEN == rows_of(database, SEEN)
    assert foretold == terms(desk, "fill")
    assert [(0, {})] == [(one.foreign, one.counts) for one in report.comparisons]
    execute(database, "DELETE FROM \"Job\" WHERE id = 'c'")  # the quarantined one
    assert apply(desk).proven
    assert apply(desk).nothing_done
    for phase in (Phase.EXPAND, None):
        back(desk, to=phase)
        assert [(0,)] == rows_of(database, "SELECT count(*) FROM migrator.before_image")
        assert apply(desk).proven
    back(desk)
    assert [one for one in was if one[0] != "c"] == rows_of(database, 'SELECT * FROM "Job" ORDER BY id')


REPAIR = """
backfill = Backfill(
    source="Job", key="id", target="Job",
    skip={"not running": sql("status <> 'RUNNING'")},
    columns={"status": sql("CASE status WHEN 'RUNNING' THEN 'PENDING' ELSE 'never' END"), "payload": missing("spent")},
)
"""
NOW = 'SELECT id, status, payload FROM "Job" ORDER BY id'
REPAIRED = [("a", "PENDING", "x"), ("d", "PENDING", None), ("f", "PENDING", None)]


def repairing(tmp_path: Path, url: str, **more: object) -> Desk:
    """Make the table with two running jobs, and a project that writes what it reads."""
    execute(url, SOURCE)
    execute(url, "DELETE FROM \"Job\" WHERE id NOT IN ('a', 'd'); INSERT INTO \"Job\" VALUES ('f', 'RUNNING', 'w')")
    return make_project(tmp_path, url, ddl_up="SELECT", ddl_down="SELECT 1", backfills={"repair": REPAIR}, **more)


def test_a_definition_may_read_what_it_writes(database: str, tmp_path: Path) -> None:
    """It sees every row as it was before: nothing is written twice, and the proof and the Balance hold."""
    desk = repairing(tmp_path, database)
    assert apply(desk).proven
    assert REPAIRED == rows_of(database, NOW)
    assert {("moved", ""): 2, ("skipped", "not running"): 1} == terms(desk, "repair")
    assert apply(desk).nothing_done
    # A row that holds the values already, by the application's hand, is moved and not touched.
    back(desk, to=Phase.EXPAND)
    assert ("d", "RUNNING", "z") in rows_of(database, NOW)


def test_what_the_application_changed_since_is_counted_kept_or_lost_by_name(database: str, tmp_path: Path) -> None:
    """A written column that was changed is a loss; another column is not, and a deleted row is forgotten."""
    desk = repairing(tmp_path, database)
    apply(desk)
    execute(database, "UPDATE \"Job\" SET \"updatedAt\" = '2026-02-02' WHERE id = 'd'")
    assert [0] == [one.rows for one in undoing.losses(desk)]
    execute(database, "UPDATE \"Job\" SET payload = 'mine' WHERE id = 'd'; DELETE FROM \"Job\" WHERE id = 'f'")
    (found,) = check(desk).comparisons
    assert {"altered": 1} == dict(found.counts)
    assert ["payload"] == [one.column for one in found.rows[0].columns]
    assert {("moved", ""): 1, ("skipped", "not running"): 1} == terms(desk, "repair")
    with pytest.raises(RefusedError, match="1 row of Job: 1 changed by it since"):
        back(desk)
    back(desk, to=Phase.EXPAND, keep_new=True)
    assert [("a", "PENDING", "x"), ("d", "PENDING", "mine")] == rows_of(database, NOW)
    execute(database, "UPDATE \"Job\" SET status = 'RUNNING'")
    apply(desk)
    execute(database, "UPDATE \"Job\" SET status = 'gone on' WHERE id = 'd'")
    back(desk, lose=["1 row of Job"])
    assert [("a", "RUNNING", "x"), ("d", "RUNNING", "mine")] == rows_of(database, NOW)


def test_a_row_is_brought_up_to_date_where_it_is_still_ours(database: str, tmp_path: Path) -> None:
    """A source column that changed is followed; what stood there first is what comes back; rows already right too."""
    desk = filling(tmp_path, database)
    run(desk, to=Phase.EXPAND)
    execute(database, "DELETE FROM \"Job\" WHERE id = 'c'; UPDATE \"Job\" SET size = 9 WHERE id = 'a'")
    right = f"UPDATE \"Job\" SET status_new = 'RUNNING', at = '{MOMENT}', size = 1 WHERE id = 'd'"
    execute(database, right)
    apply(desk)
    assert [(2,)] == rows_of(database, "SELECT count(*) FROM migrator.before_image")
    execute(database, "UPDATE \"Job\" SET status = 'completed' WHERE id IN ('a', 'd')")
    assert {"stale": 2} == dict(check(desk).comparisons[0].counts)
    assert apply(desk).proven
    assert [("a", "COMPLETED"), ("d", "COMPLETED")] == rows_of(
        database, "SELECT id, status_new::text FROM \"Job\" WHERE id IN ('a', 'd') ORDER BY id"
    )
    back(desk, to=Phase.EXPAND)
    assert [("a", None, 9), ("d", "RUNNING", 1)] == rows_of(
        database, "SELECT id, status_new::text, size FROM \"Job\" WHERE id IN ('a', 'd') ORDER BY id"
    )


@pytest.mark.every_server
def test_what_is_written_meanwhile_is_never_lost(database: str, tmp_path: Path) -> None:
    """A row that somebody writes while its batch waits for it is read anew: what stood there is what they wrote."""
    desk = filling(tmp_path, database)
    run(desk, to=Phase.EXPAND)
    with closing(psycopg.connect(database)) as other, ThreadPoolExecutor(1) as pool:
        # Not the first row, on which the smoke test would wait.
        other.execute("UPDATE \"Job\" SET status = 'PENDING', status_new = 'COMPLETED' WHERE id = 'd'")
        other.execute("DELETE FROM \"Job\" WHERE id = 'b'")
        copying = pool.submit(run, desk)
        while not rows_of(database, "SELECT 1 FROM pg_locks WHERE NOT granted") and not copying.done():
            time.sleep(0.01)
        other.commit()
        copying.result(60)
    written = "SELECT id, status_new::text FROM \"Job\" WHERE id IN ('a', 'b', 'd') ORDER BY id"
    assert [("a", "PENDING"), ("d", "PENDING")] == rows_of(database, written)
    assert {"c": ("quarantined", "status_new: unknown word"), "a": ("moved", "a"), "d": ("moved", "d")} == fates(
        desk, "fill"
    )
    back(desk, to=Phase.EXPAND)
    assert [("a", None), ("d", "COMPLETED")] == rows_of(database, written)


TROUBLE = """
CREATE TABLE other (id bigint PRIMARY KEY);
INSERT INTO other SELECT generate_series(1, 90);
CREATE TABLE old (id bigint PRIMARY KEY, code bigint UNIQUE, half bigint REFERENCES other CHECK (half <> 13), more int);
INSERT INTO old (id, code) SELECT n, CASE n WHEN 19 THEN 40 END FROM generate_series(1, 100) AS n;
CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.id = 7 THEN RAISE EXCEPTION 'not this one'; END IF;
    IF new.id = 11 THEN RETURN NULL; END IF;
    RETURN new;
END $$;
CREATE TRIGGER trouble BEFORE UPDATE ON old FOR EACH ROW EXECUTE FUNCTION trouble();
CREATE TRIGGER of_another BEFORE UPDATE OF more ON old FOR EACH ROW EXECUTE FUNCTION trouble()
"""
NUMBERS = "backfill = Backfill(source='old', key='id', target='old', columns={'code': sql('id * 2'), 'half': 'id'})"
HELD = {
    "7": "not this one",
    "11": "the update is suppressed by a trigger of the table",
    "13": "violates check old_half_check",
    "20": "code: another row holds this value",
    **{str(number): "half: no such row in other" for number in range(91, 101)},
}


def test_rows_that_cannot_be_written_are_found_and_the_others_go_on(database: str, tmp_path: Path) -> None:
    """A trigger, a unique key, a foreign key and a CHECK each hold back their row, foretold or met; by two workers."""
    execute(database, TROUBLE)
    settings = {"batch_rows": 8, "range_rows": 30, "workers": 2}
    desk = make_project(
        tmp_path, database, ddl_up="SELECT 1", ddl_down="SELECT 1", backfills={"fill": NUMBERS}, settings=settings
    )
    (hazard,) = [one for one in use_cases.plan(desk).hazards if one.id == "H105"]
    assert hazard.what == "writing old fires trouble for every row moved"
    run(desk)
    assert HELD == {key: said for key, (fate, said) in fates(desk, "fill").items() if fate == "quarantined"}
    right = "SELECT count(*), count(*) FILTER (WHERE code = id * 2) FROM old WHERE half = id"
    assert [(86, 86)] == rows_of(database, right)
    back(desk)
    assert [(100, 1, 0)] == rows_of(database, "SELECT count(*), count(code), count(half) FROM old")


def test_a_row_that_cannot_be_put_back_is_left_and_told(database: str, tmp_path: Path) -> None:
    """What stood there points at a row that is gone: the others are put back, and it is refused or kept by name."""
    execute(database, TROUBLE)
    execute(database, "DROP TRIGGER trouble ON old; UPDATE old SET half = 1 WHERE id = 50")
    desk = make_project(tmp_path, database, ddl_up="SELECT 1", ddl_down="SELECT 1", backfills={"fill": NUMBERS})
    run(desk)
    execute(database, "UPDATE old SET half = NULL WHERE half = 1; DELETE FROM other WHERE id = 1")
    with pytest.raises(RefusedError, match="1 row of old"):
        back(desk, to=Phase.EXPAND)
    with pytest.raises(RefusedError, match="1 rows of old were changed by the application since they were counted"):
        back(desk, to=Phase.EXPAND, lose=["1 row of old"])
    assert [(1, 50)] == rows_of(database, "SELECT count(half), min(half) FROM old")
    back(desk, to=Phase.EXPAND, keep_new=True)
    assert [(50,)] == rows_of(database, "SELECT id FROM old WHERE half IS NOT NULL")


def test_a_table_that_the_change_makes_is_written_in_place_as_well(database: str, tmp_path: Path) -> None:
    """Rows that one backfill inserts get a column by the next; the plan before expand says that it cannot know yet."""
    desk = one_table(
        tmp_path,
        database,
        also="ALTER TABLE new ADD picked bigint REFERENCES new",
        backfills={
            MOVE: definition({"id": 'column("id")', "note": 'column("note")'}),
            "pick": "backfill = Backfill(source='new', key='id', target='new', columns={'picked': sql('4 - id')})",
        },
        foreign="fault",
    )
    said = "where the rows of pick go is known after expand: it reads what a revision makes"
    assert (said,) == use_cases.plan(desk).notes
    assert apply(desk).proven
    assert [(1, "one", 3), (2, "two", 2), (3, None, 1)] == rows_of(database, "SELECT * FROM new ORDER BY id")
    execute(database, "UPDATE old SET note = 'later' WHERE id = 1")
    assert apply(desk).proven
    back(desk)
    assert apply(desk).proven


@pytest.mark.soak
def test_killed_at_any_instant_it_goes_on_forward_and_back(database: str, tmp_path: Path) -> None:
    """Processes killed in the middle leave whole batches; what goes on ends as an undisturbed run, both ways."""
    execute(database, "CREATE TABLE old (id bigint PRIMARY KEY, code text, note text NOT NULL)")
    execute(
        database, "INSERT INTO old SELECT n, CASE WHEN n % 7 = 0 THEN n::text END, n FROM generate_series(1, 3000) n"
    )
    words = "columns={'code': sql('note || code'), 'note': sql(\"note || '!'\")}"
    settings = {"batch_rows": 100, "workers": 2, "range_rows": 900}
    desk = make_project(
        tmp_path, database, ddl_up="SELECT 1", ddl_down="SELECT 1", settings=settings,
        backfills={"fill": f"backfill = Backfill(source='old', key='id', target='old', {words})"},
    )  # fmt: skip
    was = "SELECT md5(string_agg(o::text, ',' ORDER BY id)) FROM old o"
    before = rows_of(database, was)
    whole = (
        "SELECT (SELECT count(*) FROM old WHERE note LIKE '%!'), (SELECT count(*) FROM migrator.provenance_1),"
        " (SELECT count(*) FROM migrator.before_image)"
    )
    for verb, batches in (("apply", 8), ("rollback", 2)):
        with Child(verb, tmp_path, database, desk.change.name) as child:
            assert child.heard("progress backfill", batches), child.last
            assert child.kill(), child.last
        assert 1 == len({number for row in rows_of(database, whole) for number in row})
        if verb == "apply":
            assert use_cases.apply(desk, listen=silent).proven
            assert [(3_000,)] == rows_of(database, "SELECT count(*) FROM old WHERE note = id || '!'")
        else:
            back(desk)
    assert before == rows_of(database, was)


def test_cohorts_are_written_in_place_and_taken_back_by_themselves(database: str, tmp_path: Path) -> None:
    """A part is put back and goes again; what the application changed is kept, with nothing of ours laid over it."""
    execute(database, "CREATE TABLE old (id bigint PRIMARY KEY, who text, note text)")
    execute(database, "INSERT INTO old SELECT n, 'w' || n, 'n' || n FROM generate_series(1, 60) AS n")
    made = "columns={'note': sql('upper(note)')}, cohort=sql('who')"
    backfills = {"fill": f"backfill = Backfill(source='old', key='id', target='old', {made})"}
    desk = make_project(tmp_path, database, ddl_up="SELECT 1", ddl_down="SELECT 1", backfills=backfills)
    half = Asked(upto=5_000)
    use_cases.apply(desk, asked=half, listen=silent)
    written = [key for (key,) in rows_of(database, "SELECT id FROM old WHERE note LIKE 'N%' ORDER BY id")]
    assert 15 < len(written) < 45
    execute(database, f"UPDATE old SET note = 'mine' WHERE id = {written[0]}")
    cohorts.rollback(desk, half, keep_new=True, listen=silent)
    assert [(1, 0)] == rows_of(
        database, "SELECT count(*) FILTER (WHERE note = 'mine'), count(*) FILTER (WHERE note LIKE 'N%') FROM old"
    )
    assert [(0,)] == rows_of(database, "SELECT count(*) FROM migrator.before_image")
    assert apply(desk).proven
    assert [("MINE",)] == rows_of(database, f"SELECT note FROM old WHERE id = {written[0]}")


KINDS = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE kinds (part int, id text, j jsonb, t json, b bytea, n numeric, f float8, c char(5), a text[], m mood[],
    i interval, z timestamptz, d date, v varchar(9), x point, PRIMARY KEY (part, id)) PARTITION BY LIST (part);
CREATE TABLE kinds_1 PARTITION OF kinds FOR VALUES IN (1);
CREATE TABLE kinds_2 PARTITION OF kinds FOR VALUES IN (2);
INSERT INTO kinds VALUES
    (1, 'it''s "x",', '{"a": [1, null, "é"]}', '{ "b":1,  "b":2 }', '\\x00ff', 1.500, 'NaN', 'ab', '{a,NULL,"b,c"}',
     '{sad}', '1 mon -1 day 00:00:00.000001', '2026-03-29 01:30:00.123456+00', '4713-01-01 BC', ' x ', '(1e-300,2)'),
    (2, E'\\n', 'null', 'null', '', '-0.0', '-0', '', '{}', '{}', '0', 'infinity', '-infinity', '', '(-0,0)'),
    (2, 'none', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
"""
ALL = ("j", "t", "b", "n", "f", "c", "a", "m", "i", "z", "d", "v", "x")


def test_what_stood_there_comes_back_whatever_its_type(database: str, tmp_path: Path) -> None:
    """Byte for byte, in partitions and under a key of two columns; and the definition sees it as it was meanwhile."""
    execute(database, KINDS)
    was = rows_of(database, "SELECT tableoid::regclass::text, kinds::text FROM kinds ORDER BY part, id")
    turned = ", ".join(f"'{one}': sql('CASE WHEN {one} IS NULL THEN NULL END')" for one in ALL if one != "v")
    made = f"key=('part', 'id'), columns={{{turned}, 'v': sql('left(md5(kinds::text), 9)')}}"
    backfills = {"turn": f"backfill = Backfill(source='kinds', target='kinds', {made})"}
    desk = make_project(tmp_path, database, ddl_up="SELECT 1", ddl_down="SELECT 1", backfills=backfills)
    assert apply(desk).proven
    assert apply(desk).nothing_done
    assert [(0, 3)] == rows_of(database, "SELECT count(j) + count(x), count(v) FROM kinds")
    back(desk)
    assert was == rows_of(database, "SELECT tableoid::regclass::text, kinds::text FROM kinds ORDER BY part, id")
