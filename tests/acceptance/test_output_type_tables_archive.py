"""The end of the documented change: the guide archives by ALTER TABLE … RENAME and rolls back by CASCADE; we do not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from migrator.demo.output_type_tables import build_legacy
from migrator.model.step import Phase, State
from migrator.workflow import archiving
from migrator.workflow.desk import open_desk
from tests.support.archives import everything, put_away
from tests.support.projects import back, execute, rows_of
from tests.support.studio import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Copies = Callable[[str, Callable[[str], object]], str]

ROOT = str(Path(__file__).parents[2])
CHANGE = "output_type_tables"
ARCHIVE = "_archived_multitalk_jobs"
# Step 4 of the guide: "Archive old tables (rename to _archived_multitalk_jobs, etc.)".
BY_GUIDE = f"ALTER TABLE multitalk_jobs RENAME TO {ARCHIVE}"
# Its rollback drops functions with CASCADE; that of updated_at, dropped the same way, is shared with other tables.
ROLLBACK_BY_GUIDE = "DROP FUNCTION update_updated_at_column() CASCADE"
NAMED = (
    "SELECT conname::text FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
    " AND conname ~ '^multitalk_jobs'"
    " UNION SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname ~ '^multitalk_jobs'"
    " UNION SELECT tgname FROM pg_trigger WHERE tgname = 'update_multitalk_jobs_updated_at'"
)
MORE = "GRANT ALL ON multitalk_jobs TO {anon}"


def legacy(url: str) -> None:
    """Build the legacy database."""
    with closing(psycopg.connect(url)) as conn, conn:
        build_legacy(conn)


@pytest.fixture
def anon() -> str:
    """Name a role like that of the hosting service, of the test's own."""
    return f"anon_{uuid4().hex[:8]}"


@pytest.fixture
def copies(database_from: Copies, anon: str) -> Iterator[Callable[[], str]]:
    """Give copies of the legacy database in which everybody may do everything with the old table."""
    made: list[str] = []

    def copy() -> str:
        url = database_from("output_type_tables legacy", legacy)
        if not made:
            execute(url, f"CREATE ROLE {anon}")
        made.append(url)
        execute(url, MORE.format(anon=anon))
        return url

    yield copy
    for url in made:
        execute(url, f"DROP OWNED BY {anon}")
    execute(made[0], f"DROP ROLE {anon}")


def archived(url: str) -> None:
    """Carry the documented change out as far as its archive."""
    desk = open_desk(CHANGE, config=ROOT, url=url)
    settle(desk)
    archiving.put_consumers(desk, tuple(desk.change.consumers), "new", "all eight pages")
    assert 8 == len(archiving.consumers(desk))
    report = put_away(desk)
    assert (State.ARCHIVED, True) == (report.state, report.proven)


def may(url: str, anon: str) -> list[str]:
    """Do what a stranger would over REST: read the archive, and write into it."""
    done = []
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        conn.execute(f"SET ROLE {anon}".encode())
        for name, statement in {
            "read": f"SELECT count(*) FROM {ARCHIVE}",
            "written": f"UPDATE {ARCHIVE} SET status = status",
        }.items():
            try:
                touched = conn.execute(statement.encode())
            except psycopg.errors.InsufficientPrivilege:
                continue
            rows = touched.fetchone()[0] if name == "read" else touched.rowcount
            done += [name] if rows else []
    return done


def test_v_t22_an_archive_lets_nobody_in(copies: Callable[[], str], anon: str) -> None:
    """By the guide the archive stays open to the world and keeps every name; ours is shut, and the names are free."""
    by_guide = copies()
    names = rows_of(by_guide, NAMED)
    execute(by_guide, BY_GUIDE)
    policies = "SELECT count(*) FROM pg_policies WHERE tablename = '_archived_multitalk_jobs'"
    assert ["read", "written"] == may(by_guide, anon)
    assert [(1,)] == rows_of(by_guide, policies)
    assert {("multitalk_jobs_pkey",), ("update_multitalk_jobs_updated_at",)} <= set(rows_of(by_guide, NAMED))

    ours = copies()
    before = everything(ours)
    assert sorted(names) == sorted(rows_of(ours, NAMED))
    archived(ours)
    assert [] == may(ours, anon)
    assert [(0,)] == rows_of(ours, policies)
    assert [] == rows_of(ours, NAMED)
    assert State.NEW is back(open_desk(CHANGE, config=ROOT, url=ours)).state
    assert before == everything(ours)


def test_v_t23_the_way_back_takes_no_shared_function_along(copies: Callable[[], str]) -> None:
    """Dropped with CASCADE, the function takes the triggers of `datasets` and of the archive along; ours stay."""
    triggers = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname ~ 'updated_at$' ORDER BY 1"
    by_guide = copies()
    execute(by_guide, BY_GUIDE)
    assert [(ARCHIVE,), ("datasets",)] == rows_of(by_guide, triggers)
    execute(by_guide, ROLLBACK_BY_GUIDE)
    assert [] == rows_of(by_guide, triggers)

    ours = copies()
    before = everything(ours)
    archived(ours)
    assert {(ARCHIVE,), ("datasets",)} <= set(rows_of(ours, triggers))
    desk = open_desk(CHANGE, config=ROOT, url=ours)
    assert State.VERIFIED is back(desk, to=Phase.VERIFY).state
    assert State.NEW is back(desk).state
    assert [("datasets",), ("multitalk_jobs",)] == rows_of(ours, triggers)
    assert before == everything(ours)
