"""The legacy database of `phase_2_jobs`, as planted, and the five revisions that expand it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from migrator.demo import phase_2_jobs as legacy
from migrator.demo.phase_2_jobs import Origin, build_legacy, build_new_application_rows, planted, write_files
from tests.support.projects import execute, rows_of
from tests.support.schemas import schema

REVISIONS = Path(__file__).parents[2] / "revisions"
CHANGE = "phase_2_jobs"
CHAIN = ("0021", "0022", "0023", "0024", "0025")

COUNTS = {
    "images": 'SELECT count(*) FROM "Image"',
    "jobs": 'SELECT count(*) FROM "Job"',
    "pending_offloads": """SELECT count(*) FROM "Job" AS j JOIN "Image" AS i ON i.id = j.payload::jsonb ->> 'imageId'
        WHERE j.status = 'PENDING' AND j.payload LIKE '%"}'""",
    "orphans": """SELECT count(*) FROM "Job" WHERE payload LIKE '%"}'
        AND payload::jsonb ->> 'imageId' NOT IN (SELECT id FROM "Image")""",
    "malformed": """SELECT count(*) FROM "Job" WHERE payload NOT LIKE '%"}'""",
    "odd_words": """SELECT count(*) FROM "Job" WHERE status <> 'PENDING'""",
    "unknown_words": """SELECT count(*) FROM "Job" WHERE upper(btrim(status)) <> 'PENDING'""",
}
LATER = {
    "stuck": """SELECT count(*) FROM "Image" WHERE status = 'PROCESSING' AND "thumbnailPath" IS NOT NULL
        AND "previewPath" IS NOT NULL""",
    "thumbnail_only": 'SELECT count(*) FROM "Image" WHERE "thumbnailPath" IS NOT NULL AND "previewPath" IS NULL',
    "dead_workers": """SELECT count(*) FROM "Job" WHERE status = 'RUNNING' AND "lockedAt" < '2026-02-01'""",
    "stored": """SELECT count(*) FROM "Image" WHERE status = 'STORED'""",
    "new_images": """SELECT count(*) FROM "Image" WHERE "createdAt" > '2026-02-01'""",
    "new_jobs": 'SELECT count(*) FROM "Job" WHERE "imageId" IS NOT NULL',
}


@pytest.fixture
def old(database: str) -> str:
    """Give the photo library as Prisma made it."""
    with psycopg.connect(database) as connection:
        build_legacy(connection)
    return database


def by_hand(url: str) -> Config:
    """Configure Alembic as somebody does who runs it by hand."""
    config = Config(cmd_opts=Namespace(x=[f"change={CHANGE}", f"url={url}"]))
    config.set_main_option("script_location", str(REVISIONS))
    config.set_main_option("path_separator", "os")
    return config


@pytest.fixture(params=["push", "file"])
def there_and_back(request: pytest.FixtureRequest, database: str) -> Iterator[str]:
    """Give both origins with all revisions; what each made is taken back afterwards, one by one."""
    origin: Origin = request.param
    with psycopg.connect(database) as connection:
        build_legacy(connection, origin=origin)
    before = []
    for revision in CHAIN:
        before.append(schema(database))
        command.upgrade(by_hand(database), revision)
    yield database
    for was, without in zip(reversed(before), (*reversed(CHAIN[:-1]), f"{CHANGE}@base"), strict=True):
        command.downgrade(by_hand(database), without)
        assert was == schema(database)


def test_the_rows_are_those_planted(there_and_back: str) -> None:
    """Of every class there are as many as the recipe says, whichever way the tables were made; so is each revision."""
    expected = asdict(planted())
    assert {name: expected[name] for name in COUNTS} == {
        name: rows_of(there_and_back, query)[0][0] for name, query in COUNTS.items()
    }


def test_the_application_does_what_is_planted(old: str) -> None:
    """After Phase 2 worked for a while, its rows are there too; by hand no label is lost that nobody remembers."""
    command.upgrade(by_hand(old), f"{CHANGE}@head")
    with psycopg.connect(old) as connection:
        build_new_application_rows(connection)
    expected = asdict(planted())
    assert {name: expected[name] for name in LATER} == {
        name: rows_of(old, query)[0][0] for name, query in LATER.items()
    }
    command.downgrade(by_hand(old), "0021")
    with pytest.raises(CommandError, match=r"17 images are PROCESSING or STORED\. Use: migrator rollback"):
        command.downgrade(by_hand(old), f"{CHANGE}@base")
    execute(old, "UPDATE \"Image\" SET status = 'INGESTED'")
    command.downgrade(by_hand(old), f"{CHANGE}@base")


def test_the_files_of_the_demo_are_those_of_its_rows(tmp_path: Path) -> None:
    """What ships as found on the disks is what is written for one repeat; a larger table has more of it."""
    for name, path in write_files(tmp_path).items():
        shipped = Path(legacy.__file__).with_name(f"{name}.csv").read_text(encoding="utf-8")
        assert shipped == Path(path).read_text(encoding="utf-8")
    counts = [
        len(Path(one).read_text(encoding="utf-8").splitlines()) for one in write_files(tmp_path, scale=2).values()
    ]
    found = planted(scale=2)
    assert [found.no_files + 1, found.moved_files + 1] == counts == [41, 21]


def test_a_seed_and_a_number_make_the_same_rows(databases: object) -> None:
    """Neither clock nor time zone has a part in it, and part of a repeat is a prefix of it."""
    digests = set()
    for zone in ("UTC", "Asia/Kolkata"):
        with databases.fresh() as url, psycopg.connect(url, options=f"-c TimeZone={zone}") as connection:  # type: ignore[attr-defined]
            build_legacy(connection, images=60)
            digests.add(legacy.digest(connection))
    assert 1 == len(digests)
    assert planted(images=60).pending_offloads == 60
    with pytest.raises(ValueError, match="-1 images"):
        planted(images=-1)
