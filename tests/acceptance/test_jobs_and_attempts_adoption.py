"""The tables of guide 000 are there already, in one of the shapes in which its repository makes them, or another's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from migrator.model.errors import RefusedError
from migrator.model.step import Phase
from migrator.workflow import change_steps, use_cases
from migrator.workflow.use_cases import status_facts
from tests.support.databases import Databases
from tests.support.guide_000 import ATTEMPTS, GUIDE, ORM, SCRIPT, run_rollback
from tests.support.kills import as_it_was
from tests.support.projects import back, execute, rows_of, run
from tests.support.restoration import desk_on, legacy, settle
from tests.support.scratch import beside

SHAPES = {
    "guide": (GUIDE, {"0011": 0, "0012": 0, "0013": 0}),
    "ORM": (ORM, {"0011": 2, "0012": 6, "0013": 8}),
    "script": (SCRIPT, {"0011": 2, "0012": 14, "0013": 17}),
}
FOREIGN = (
    "CREATE TABLE jobs (id bigserial PRIMARY KEY, queue text NOT NULL, email text UNIQUE, created_at timestamp,"
    " selected_restore_id uuid, latest_animation_id uuid); INSERT INTO jobs (queue) VALUES ('mail')"
)
KEYS = (
    "SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE contype = 'f' AND convalidated AND connamespace = 'public'::regnamespace ORDER BY 1"
)


@pytest.fixture(autouse=True)
def quickly(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at what revisions declare on databases beside."""
    with ExitStack() as stack:
        monkeypatch.setattr(change_steps, "declare", beside(databases, stack))
        yield


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_g1_each_shape_of_the_tables_serves(database: str, shape: str) -> None:
    """The guide's own is adopted as it is, the others act by act; the rows in them stay; and all of it goes back.

    G3: the version table that the old application left behind, with a revision nobody has, is named and not touched.
    """
    ddl, acts = SHAPES[shape]
    legacy(database, upper=shape == "ORM")
    execute(database, ddl)
    execute(database, ATTEMPTS)
    before = as_it_was(database)
    desk = desk_on(database)
    if shape == "script":
        keepers = [one for one in use_cases.plan(desk, count=False).notes if "alembic_version" in one]
        assert len(keepers) == 1
        settle(desk)
    run(desk, to=Phase.EXPAND)
    origins = {
        one.name: (one.origin, len(one.undo.get("acts", ())))
        for one in status_facts(desk).steps
        if one.phase is Phase.EXPAND
    }
    assert ("created", 0) == origins.pop("0014")  # its indexes are none of the guide's
    assert {name: ("adopted", number) for name, number in acts.items()} == origins
    assert [(one,) for one in (
        "animation_attempts FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE",
        "animation_attempts FOREIGN KEY (restore_id) REFERENCES restore_attempts(id)",
        "jobs FOREIGN KEY (latest_animation_id) REFERENCES animation_attempts(id)",
        "jobs FOREIGN KEY (selected_restore_id) REFERENCES restore_attempts(id)",
        "restore_attempts FOREIGN KEY (job_id) REFERENCES jobs(id) ON DELETE CASCADE",
    )] == rows_of(database, KEYS)  # fmt: skip
    back(desk)
    assert before == as_it_was(database)


def test_r_t16_a_table_of_somebody_else_called_jobs_is_refused(database: str) -> None:
    """The guide's script keeps it and fails half-way; ours names the whole difference and writes nothing."""
    legacy(database)
    execute(database, FOREIGN)
    theirs = GUIDE.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ")
    failed = 0
    for statement in theirs.split(";"):
        try:
            execute(database, statement)
        except Exception:  # noqa: BLE001 -- as a prompt, which goes on
            failed += 1
    assert failed == 7
    assert [("bigint",)] == rows_of(database, "SELECT format_type(atttypid, -1) FROM pg_attribute WHERE attname = 'id'"
                                    " AND attrelid = 'jobs'::regclass")  # fmt: skip
    before = as_it_was(database)
    for verb in (use_cases.plan, run):
        with pytest.raises(RefusedError, match="M209") as refused:
            verb(desk_on(database))
        for line in (
            'jobs: column "id" is bigint, declared: uuid',
            'jobs: column "queue" is not declared, is NOT NULL and has no default',
            'jobs: column "created_at" is timestamp without time zone, declared: timestamp with time zone',
            "jobs: unique jobs_email_key: UNIQUE (email) is not declared, and may refuse our rows",
        ):
            assert line in refused.value.what
    assert before == as_it_was(database)
    run_rollback(database)  # that of the guide takes the other's table along
    assert [(None,)] == rows_of(database, "SELECT to_regclass('jobs')")


def test_rows_that_no_key_allows_are_counted_before_anything_is_brought_over(database: str) -> None:
    """Shape (c) forbids nothing: attempts of no job, or without a key, are named with number and ids."""
    legacy(database)
    execute(database, SCRIPT)
    execute(
        database,
        "INSERT INTO restore_attempts (id, s3_key) VALUES ('00000000-0000-4000-8000-000000000001', 'a'),"
        " ('00000000-0000-4000-8000-000000000002', NULL)",
    )
    before = as_it_was(database)
    with pytest.raises(RefusedError, match="M216") as refused:
        run(desk_on(database))
    assert "restore_attempts: 2 rows: job_id is NULL (id 00000000-0000-4000-8000-000000000001, 0" in refused.value.what
    assert "restore_attempts: 1 row: s3_key is NULL (id 00000000-0000-4000-8000-000000000002)" in refused.value.what
    assert before == as_it_was(database)
