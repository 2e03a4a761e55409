"""Orders to the application: handed over at a pace, its own from then on, and taken back only as they were written."""

from __future__ import annotations

import hashlib
from pathlib import Path

from migrator.cli import exits
from migrator.engine.projection.derived import DIGITS, NAMESPACE
from migrator.model.step import Event, Phase, State
from migrator.workflow import undoing, use_cases
from migrator.workflow.desk import Desk
from tests.support.projects import back, check, execute, make_project, rows_of, settle, silent, terms

SOURCE = """
CREATE TYPE "ImageStatus" AS ENUM ('INGESTED');
CREATE TABLE "Image" ("id" text PRIMARY KEY, "thumbnailPath" text, "status" "ImageStatus" DEFAULT 'INGESTED');
INSERT INTO "Image" SELECT 'i' || n, CASE WHEN n % 5 = 0 THEN 'there' END FROM generate_series(1, {images}) AS n;
CREATE TABLE "Job" ("id" text PRIMARY KEY, "type" text NOT NULL, "imageId" text, "status" text NOT NULL,
    "createdAt" timestamp(3) NOT NULL)
"""
UP = [
    "ALTER TYPE \"ImageStatus\" ADD VALUE IF NOT EXISTS 'STORED'",
    'ALTER TABLE "Job" ADD "attempts" int NOT NULL DEFAULT 0; ALTER TABLE "Image" ADD "previewPath" text',
]
DOWN = ["SELECT 1", 'ALTER TABLE "Job" DROP "attempts"; ALTER TABLE "Image" DROP "previewPath"']
ENQUEUE = """
backfill = Backfill(
    source="Image", key="id", target="Job", identity="id", handed_over=True,
    skip={
        "has one": sql('"thumbnailPath" IS NOT NULL OR "previewPath" IS NOT NULL'),
        "is stored": sql("status = 'STORED'"),
        "is queued": sql('EXISTS (SELECT FROM "Job" j WHERE j."imageId" = "Image".id AND j.status = \\'PENDING\\')'),
    },
    columns={
        "id": derived_text(prefix="mg", length=23, salt="THUMBNAIL"),
        "type": constant("THUMBNAIL"), "imageId": column("id"), "status": constant("PENDING"),
        "attempts": constant(0), "createdAt": clock(),
    },
    volatile="createdAt",
    pace=pace(
        at_most=param("open_jobs", int, default=200),
        open=sql("SELECT count(*) FROM \\"Job\\" WHERE status = 'PENDING'"),
    ),
)
"""
OPEN = "SELECT count(*) FROM \"Job\" WHERE status = 'PENDING'"


def enqueuing(tmp_path: Path, url: str, *, images: int = 20, **more: object) -> Desk:
    """Make images of which four in five have no thumbnail, and a project that orders them."""
    if not rows_of(url, "SELECT 1 FROM pg_tables WHERE tablename = 'Image'"):
        execute(url, SOURCE.format(images=images))
    return make_project(tmp_path, url, ddl_up=UP, ddl_down=DOWN, backfills={"enqueue": ENQUEUE}, **more)


def apply(desk: Desk):
    """Apply to the end."""
    settle(desk.database.url)
    return use_cases.apply(desk, listen=silent)


def test_no_more_are_open_than_may_be_and_a_later_run_goes_on(database: str, tmp_path: Path) -> None:
    """The run stops at the cap with work pending and says so; the application works, the next run goes on."""
    desk = enqueuing(tmp_path, database, params={"open_jobs": 5}, settings={"workers": 3, "range_rows": 4})
    assert {("moved", ""): 16, ("skipped", "has one"): 4} == terms(desk, "enqueue", planned=True)
    report = apply(desk)
    assert [(5,)] == rows_of(database, OPEN)
    assert exits.PENDING == exits.of_report(report)
    assert ("enqueue: 5 rows of Job are open, 11 wait; run again when they are done",) == report.notes
    assert State.COPYING is report.state
    assert exits.NOT_PROVEN == exits.of_report(check(desk))
    for done in (4, 5, 5):
        execute(
            database,
            f'UPDATE "Job" SET status = \'DONE\' WHERE id IN (SELECT id FROM "Job"'
            f" WHERE status = 'PENDING' ORDER BY id LIMIT {done})",
        )
        report = apply(desk)
        assert rows_of(database, OPEN) <= [(5,)]
    assert (State.VERIFIED, True, ()) == (report.state, report.proven, report.waiting)
    sized = b"".join(len(one).to_bytes(4, "big") + one for one in (b"Image", b"i1", b"THUMBNAIL"))
    digits = "".join(DIGITS[byte % 36] for byte in hashlib.sha256(NAMESPACE + sized).digest()[:23])
    assert [(f"mg{digits}",)] == rows_of(database, 'SELECT id FROM "Job" WHERE "imageId" = \'i1\'')
    assert [(16, 16)] == rows_of(database, 'SELECT count(*), count(DISTINCT "imageId") FROM "Job"')
    execute(database, "INSERT INTO \"Image\" VALUES ('new'); UPDATE \"Job\" SET status = 'PENDING'")
    assert [1] == [one.rows for one in apply(desk).waiting]


def test_what_was_handed_over_is_the_applications(database: str, tmp_path: Path) -> None:
    """It is not compared, may go on or go, is not moved again, and only what is as written is taken back."""
    desk = enqueuing(tmp_path, database)
    assert apply(desk).proven
    execute(database, "UPDATE \"Job\" SET status = 'RUNNING', attempts = 1 WHERE \"imageId\" IN ('i1', 'i2')")
    execute(database, "UPDATE \"Job\" SET status = 'DONE' WHERE \"imageId\" = 'i3'")
    execute(database, 'DELETE FROM "Job" WHERE "imageId" = \'i4\'; DELETE FROM "Image" WHERE id = \'i1\'')
    execute(database, "UPDATE \"Image\" SET \"thumbnailPath\" = 'made' WHERE id IN ('i3', 'i4')")
    execute(database, "INSERT INTO \"Job\" VALUES ('mine', 'THUMBNAIL', 'i6', 'PENDING', '2026-01-01')")
    proof = check(desk)
    assert proof.proven
    assert [("4 rows compared", "16 handed over")] == [
        (one.evidence.split(" in ")[0], one.evidence.split("; ")[1][:14])
        for one in proof.verdicts
        if "as declared" in one.claim
    ]
    assert {("moved", ""): 15, ("skipped", "has one"): 4} == terms(desk, "enqueue")
    assert apply(desk).nothing_done
    assert [0] == [one.rows for one in undoing.losses(desk, to=Phase.EXPAND)]
    left = rows_of(database, "SELECT id FROM \"Job\" WHERE status <> 'PENDING' ORDER BY id")
    assert (f"left with the application: 3 rows of Job ({', '.join(name for (name,) in left)})",) == back(
        desk, to=Phase.EXPAND
    ).notes
    assert [*left, ("mine",)] == rows_of(database, 'SELECT id FROM "Job" ORDER BY id COLLATE "C"')
    assert State.EXPANDED is use_cases.status_facts(desk).state


def test_an_order_in_place_is_given_once_and_trickles(database: str, tmp_path: Path) -> None:
    """A stale job is queued again; what becomes of it is its own affair, and undo takes back what still waits."""
    execute(database, SOURCE.format(images=0))
    execute(
        database, "INSERT INTO \"Job\" SELECT 'j' || n, 'X', NULL, 'RUNNING', '2026-01-01' FROM generate_series(1, 3) n"
    )
    requeue = """
    backfill = Backfill(
        source="Job", key="id", target="Job", handed_over=True, skip={"not running": sql("status <> 'RUNNING'")},
        columns={"status": constant("PENDING"), "createdAt": clock()}, volatile="createdAt",
        pace=pace(at_most=2, open=sql("SELECT count(*) FROM \\"Job\\" WHERE status = 'PENDING'")),
    )
    """
    settings = {"trickle": "50ms"}
    desk = make_project(tmp_path, database, ddl_up=UP, ddl_down=DOWN, backfills={"requeue": requeue}, settings=settings)
    notes = []

    def listen(event: Event) -> None:
        if event.kind == "note":
            notes.append(event.title)
            execute(database, "UPDATE \"Job\" SET status = 'DONE' WHERE id = 'j1'")

    report = use_cases.apply(desk, listen=listen)
    assert ["requeue: 2 rows of Job are open, 1 wait; looking again in 0.05 s"] == notes
    assert report.proven
    assert {("moved", ""): 3} == terms(desk, "requeue")
    execute(database, "UPDATE \"Job\" SET status = 'RUNNING' WHERE id = 'j1'")
    assert apply(desk).proven
    assert ("left with the application: 1 row of Job (j1)",) == back(desk, to=Phase.EXPAND).notes
    restored = 'SELECT status, count(*) FILTER (WHERE "createdAt" = \'2026-01-01\') FROM "Job" GROUP BY 1'
    assert [("RUNNING", 2)] == rows_of(database, restored)
