"""The photo library to its end shape and back: what is Prisma's, what is the application's, what is remembered."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migrator.database import concurrently
from migrator.database.anatomy import anatomies
from migrator.database.connect import Database
from migrator.demo import phase_2_jobs as legacy
from migrator.demo.phase_2_jobs import planted
from migrator.ledger.quarantine import Selection
from migrator.model.errors import RefusedError
from migrator.model.names import Relation
from migrator.model.step import Phase, State
from migrator.workflow import housekeeping, undoing, use_cases
from migrator.workflow.desk import Desk
from tests.support.photos import CHANGE, FILES, ROOT, apply, desk_on, digest, old, worked
from tests.support.projects import back, check, execute, rows_of, run
from tests.support.schemas import schema

Copies = Callable[[], str]

EXPECTED = planted()
PAGE = Path(ROOT, "docs", "changes", "phase_2_jobs.md").read_text(encoding="utf-8")
(SWITCH,) = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
TABLES = [Relation("public", "Image"), Relation("public", "Job")]
LABELS = 'SELECT enum_range(NULL::"ImageStatus")::text'
STATUSES = EXPECTED.stored + EXPECTED.stuck + 3 + 1  # three with a thumbnail alone, and one that is being worked on
LOST = f"{STATUSES} rows of Image with status PROCESSING or STORED"
OURS = "SELECT count(*) FROM \"Job\" WHERE id LIKE 'mg%'"


def done(url: str) -> Desk:
    """Open the change with what it was carried out with."""
    return desk_on(url, **FILES, repair_stored="true")


def shape(url: str) -> dict[str, str]:
    """List every object of the two tables and the labels of their enums."""
    with Database(url=url).connect() as conn:
        found = anatomies(conn, TABLES)
    labels = rows_of(
        url,
        "SELECT t.typname, string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e"
        " JOIN pg_type t ON t.oid = e.enumtypid GROUP BY 1",
    )
    listed = {f"{one} {name}": said for one in TABLES for name, said in found[one].listed.items()}
    return listed | {f"type {name}": said for name, said in labels}


@pytest.fixture
def of_prisma(database: str) -> dict[str, str]:
    """Give the shape that Prisma itself makes of the schema of Phase 2."""
    execute(database, Path(legacy.__file__).with_name("prisma_phase_2.sql").read_text(encoding="utf-8"))
    return shape(database)


def test_p_t6_the_end_shape_is_prismas(photos_done: Copies, of_prisma: dict[str, str], tmp_path: Path) -> None:
    """Before the switch status_new is the one thing more; the switch waits for every word, and leaves nothing over."""
    url = photos_done()
    before = shape(url)
    assert {name for name in before if name not in of_prisma} == {"Job column status_new of Job"}
    with pytest.raises(psycopg.errors.RaiseException, match="a job has no new status"):
        execute(url, SWITCH)
    assert before == shape(url)
    words = tmp_path / "words.csv"
    words.write_text("word,status\nDONE,COMPLETED\nBLANK,FAILED\n", encoding="utf-8")
    desk = desk_on(url, **FILES, repair_stored="true", status_words=str(words))
    housekeeping.quarantine_retry(desk, Selection(change=CHANGE, backfill="job_status_and_image", status="dismissed"))
    run(desk)  # a word that was decided is seen by the next run's orders
    assert True is apply(desk).proven
    wanted = rows_of(url, 'SELECT id, status_new::text FROM "Job" ORDER BY id')
    execute(url, SWITCH)
    assert of_prisma == shape(url)
    assert wanted == rows_of(url, 'SELECT id, status::text FROM "Job" ORDER BY id')


def test_p_t6_what_the_sql_file_had_otherwise_stays_so(databases: object, of_prisma: dict[str, str]) -> None:
    """Of a database made by the hand-written file, only the defaults that Prisma does not know differ in the end."""
    with databases.fresh() as url:  # type: ignore[attr-defined]
        old(url, "file")
        run(desk_on(url), to=Phase.EXPAND)
        execute(url, "UPDATE \"Job\" SET status_new = 'PENDING'")
        execute(url, SWITCH)
        found = shape(url)
    differ = {name for name in found.keys() | of_prisma if found.get(name) != of_prisma.get(name)}
    assert {"Image column updatedAt of Image", "Job column updatedAt of Job"} <= differ
    assert all("updatedAt" in one or "checksum_key" in one for one in differ), differ


def test_p_t6_what_somebody_drops_is_named(photos_done: Copies) -> None:
    """`db push` takes away what its schema does not know; verify says what is gone."""
    url = photos_done()
    execute(url, 'DROP INDEX "Job_status_idx"; DROP INDEX "Job_type_idx"')
    report = check(done(url))
    evidence = next(one.evidence for one in report.verdicts if one.claim == "the tables are as expand left them")
    assert False is report.proven
    assert {"Job_status_idx", "Job_type_idx"} == set(re.findall(r"Job_\w+_idx", evidence))


def test_p_t14_no_label_is_left_that_the_old_client_cannot_read(photos_done: Copies) -> None:
    """Reverting the code alone leaves labels a client of Phase 1 throws on; ours counts, maps and remembers them."""
    url = photos_done()
    unreadable = "SELECT id, status::text FROM \"Image\" WHERE status::text NOT IN ('UPLOADED', 'INGESTED', 'FAILED')"
    assert STATUSES == len(rows_of(url, unreadable))
    desk = done(url)
    losses = [one for one in undoing.losses(desk) if one.rows]
    (labels,) = [one for one in losses if one.sentence == LOST]
    keys = [key for (key,) in rows_of(url, f"SELECT id FROM ({unreadable}) AS t ORDER BY id LIMIT 5")]
    assert keys == list(labels.examples["foreign"])
    with pytest.raises(RefusedError, match=f"(?s)M412.*{LOST}: {STATUSES} written by the application"):
        back(desk)
    was = dict(rows_of(url, unreadable))
    back(desk, lose=[one.sentence for one in losses])
    assert [("{UPLOADED,INGESTED,FAILED}",)] == rows_of(url, LABELS)
    assert [("INGESTED", EXPECTED.images + EXPECTED.new_images)] == rows_of(
        url, 'SELECT status::text, count(*) FROM "Image" GROUP BY 1'
    )
    kept = dict(rows_of(url, "SELECT row_key[1], value FROM migrator.replaced_value WHERE relation = 'Image'"))
    assert was.keys() == kept.keys()
    assert {"PROCESSING": EXPECTED.stuck + 4, "STORED": EXPECTED.stored} == {
        one: list(kept.values()).count(one) for one in set(kept.values())
    }
    assert [("text",)] == rows_of(
        url, "SELECT data_type FROM information_schema.columns WHERE table_name = 'Job' AND column_name = 'status'"
    )


def test_there_and_back_leaves_nothing_and_takes_nothing(databases: object) -> None:
    """Where no application wrote, legacy columns never change, and going back leaves schema and rows as they were."""
    with databases.fresh() as url:  # type: ignore[attr-defined]
        old(url, "file")
        shaped, rows = schema(url), digest(url)
        run(desk := desk_on(url, **FILES))
        ordered = rows_of(url, OURS)[0][0]
        assert ordered > 0
        with closing(psycopg.connect(url)) as conn:
            conn.execute("DELETE FROM \"Job\" WHERE id LIKE 'mg%'")
            assert legacy.digest(conn) == rows
        back(desk)
        assert (shaped, rows) == (schema(url), digest(url))
        assert State.NEW is use_cases.status_facts(desk).state


def test_undo_takes_back_only_what_still_waits(photos_done: Copies) -> None:
    """Jobs that were run since, uploads and their jobs stay and are named; the others of ours go."""
    url = photos_done()
    desk, ordered = done(url), rows_of(url, OURS)[0][0]
    run_since = worked(url, 3, only="id LIKE 'mg%'")
    execute(
        url,
        "INSERT INTO \"Image\" VALUES ('fresh', 'INGESTED', NULL, '/tmp/x', 'x', 'image/png', 1, 1, 1, now(), now());"
        'INSERT INTO "Job" (id, type, payload, status, "updatedAt")'
        " VALUES ('fresh', 'OFFLOAD_ORIGINAL', '{\"imageId\":\"fresh\"}', 'PENDING', now())",
    )
    apply(desk)
    # What became of jobs since is followed, and what Phase 1 goes on writing is filled.
    ids = ", ".join(f"'{one}'" for one in run_since)
    assert [("COMPLETED",)] == rows_of(url, f'SELECT DISTINCT status_new::text FROM "Job" WHERE id IN ({ids})')
    assert [("PENDING", "fresh")] == rows_of(url, 'SELECT status_new::text, "imageId" FROM "Job" WHERE id = \'fresh\'')
    others = "SELECT count(*) FROM \"Job\" WHERE id NOT LIKE 'mg%'"
    before = rows_of(url, others)
    with pytest.raises(RefusedError, match=LOST):
        back(desk)
    assert [(ordered,)] == rows_of(url, OURS)
    report = back(desk, lose=[one.sentence for one in undoing.losses(desk) if one.rows])
    assert all(any(one in note for note in report.notes) for one in run_since), report.notes
    assert sorted(run_since) == sorted(name for (name,) in rows_of(url, "SELECT id FROM \"Job\" WHERE id LIKE 'mg%'"))
    assert before == rows_of(url, others)
    assert [("fresh",)] == rows_of(url, "SELECT id FROM \"Image\" WHERE id = 'fresh'")


def test_keep_new_leaves_what_phase_2_wrote(photos_done: Copies) -> None:
    """With --keep-new the columns and labels stay with all that is in them, and only our own orders go."""
    url = photos_done()
    desk = done(url)
    seen = "SELECT status::text, count(*) FROM \"Image\" WHERE status::text <> 'INGESTED' GROUP BY 1 ORDER BY 1"
    back(desk, keep_new=True)
    assert [(0,)] == rows_of(url, OURS)
    assert [("PROCESSING", STATUSES - EXPECTED.stored), ("STORED", EXPECTED.stored)] == rows_of(url, seen)
    assert State.EXPANDED is use_cases.status_facts(desk).state
    assert [(EXPECTED.new_jobs,)] == rows_of(url, 'SELECT count(*) FROM "Job" WHERE "imageId" IS NOT NULL')


def test_an_interrupted_index_is_found_again_or_taken_back(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends while it builds indexes is taken back with them, or goes on; a stranger's index is refused."""
    old(database)
    shaped = schema(database)
    desk, building = desk_on(database), concurrently.build
    execute(database, 'CREATE INDEX "Job_type_idx" ON "Job" (type)')
    with pytest.raises(RefusedError, match=r"M235.*Job_type_idx"):
        run(desk, to=Phase.EXPAND)
    execute(database, 'DROP INDEX "Job_type_idx"')
    built: list[str] = []

    def interrupted(base: Database, statement: str, index: str, **more: object) -> None:
        if len(built) == 2:
            raise KeyboardInterrupt
        built.append(index)
        building(base, statement, index, **more)  # type: ignore[arg-type]

    def begun() -> None:
        built.clear()
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(concurrently, "build", interrupted)
            run(desk, to=Phase.EXPAND)
        assert State.EXPANDING is use_cases.status_facts(desk).state

    begun()
    back(desk)
    assert shaped == schema(database)
    begun()
    run(desk, to=Phase.EXPAND)
    assert State.EXPANDED is use_cases.status_facts(desk).state
    assert [(4,)] == rows_of(database, "SELECT count(*) FROM pg_indexes WHERE indexname ~ '^Job_.*_idx$'")
