"""Several workers copy what one would: no row twice, none left out, and the same winner where rows compete."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migrator.demo.output_type_tables import build_legacy, digest
from migrator.workflow.desk import open_desk
from tests.support.projects import check, one_table, rows_of, run
from tests.support.studio import settle

ROOT = Path(__file__).parents[2]
SMALL = {"batch_rows": 100, "range_rows": 500}


def legacy(url: str) -> None:
    """Build the legacy database of the documented change."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        build_legacy(conn, rows=2_500)


def test_three_workers_end_like_one(database_from: Callable[..., str]) -> None:
    """The targets of a copy by one and by three workers are the same, row for row."""
    ends = set()
    for workers in (1, 3):
        url = database_from("legacy for workers", legacy)
        desk = open_desk("output_type_tables", config=str(ROOT), url=url, flags={**SMALL, "workers": workers})
        assert settle(desk).proven
        with closing(psycopg.connect(url)) as conn:
            ends.add(digest(conn, "video_jobs", "image_jobs"))
    assert 1 == len(ends)


@pytest.mark.parametrize("workers", [1, 4])
def test_of_competing_rows_the_first_by_key_wins(database: str, tmp_path: Path, workers: int) -> None:
    """Where two source rows want one unique value the first has it, however many workers were asked for."""
    total = 2_000
    desk = one_table(
        tmp_path,
        database,
        columns="code integer",
        rows=[(key, key % (total // 2)) for key in range(1, total + 1)],
        target="code integer UNIQUE",
        settings={**SMALL, "workers": workers},
    )
    run(desk)
    assert [(total // 2, total // 2)] == rows_of(database, "SELECT count(*), max(id) FROM new")
    assert total // 2 == check(desk).balances[0].rows("quarantined")


@pytest.mark.parametrize(
    "also",
    [
        "CREATE UNIQUE INDEX ON new (code) WHERE code > 0",
        "CREATE UNIQUE INDEX ON new ((code + 1))",
        "ALTER TABLE new ADD EXCLUDE USING gist (int4range(code, code + 1) WITH &&)",
    ],
    ids=["a partial index", "an expression", "an exclusion constraint"],
)
def test_order_is_kept_where_only_the_server_knows_of_competition(database: str, tmp_path: Path, also: str) -> None:
    """Where an index forbids what no unique key tells, the first of two rows by key moves, also with four workers."""
    desk = one_table(
        tmp_path,
        database,
        columns="code integer",
        rows=[(key, 1 + key % 100) for key in range(1, 201)],
        also=also,
        settings={"batch_rows": 10, "range_rows": 20, "workers": 4},
    )
    run(desk)
    assert [(100, 100)] == rows_of(database, "SELECT count(*), max(id) FROM new")
