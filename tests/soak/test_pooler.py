"""Everything works through PgBouncer in transaction mode, where no session state can be relied on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migrator.demo.output_type_tables import build_legacy, build_new_application_rows
from migrator.model.step import Phase, State
from migrator.workflow import undoing, use_cases
from migrator.workflow.desk import open_desk
from tests.support.objects import Place
from tests.support.pictures import Pictures
from tests.support.pooler import pooled
from tests.support.projects import back, check, run, silent
from tests.support.studio import settle

pytestmark = pytest.mark.soak
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_documented_change_goes_there_and_back_through_a_pooler(database: str, workers: int) -> None:
    """Plan, apply, proof, second run and rollback see and do the same as on a direct connection."""
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        build_legacy(conn, rows=20_000)
    with pooled(database, size=workers + 3) as url:
        flags = {"workers": workers, "range_rows": 2_000, "batch_rows": 500}
        desk = open_desk("output_type_tables", config=str(ROOT), url=url, flags=flags)
        assert [20_000, 20_000] == [one.source_rows for one in use_cases.plan(desk).balances][:2]
        run(desk, to=Phase.EXPAND)
        with closing(psycopg.connect(database, autocommit=True)) as conn:
            build_new_application_rows(conn)
        assert settle(desk).proven
        assert use_cases.apply(desk, listen=silent).nothing_done
        assert check(desk).proven
        lost = [one.sentence for one in undoing.losses(desk) if one.rows]
        assert State.NEW is back(desk, lose=lost).state


def test_settings_do_not_leak_to_another_client(database: str) -> None:
    """After a whole run the pool's connections have the settings they began with."""
    asked = "SELECT current_setting('search_path'), current_setting('lock_timeout'), current_setting('DateStyle'),"
    asked += " current_setting('TimeZone'), current_setting('row_security'), current_setting('migrator.applying', true)"
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        build_legacy(conn)
    with pooled(database, size=2) as url:
        with closing(psycopg.connect(url, autocommit=True, prepare_threshold=None)) as conn:
            before = conn.execute(asked).fetchone()
        desk = open_desk("output_type_tables", config=str(ROOT), url=url)
        assert settle(desk).proven
        with closing(psycopg.connect(url, autocommit=True, prepare_threshold=None)) as conn:
            after = [conn.execute(asked).fetchone() for _ in range(10)]
    assert {before[:5]} == {one[:5] for one in after}
    assert {""} >= {one[5] or "" for one in after}


def test_objects_go_there_and_back_through_a_pooler(tmp_path: Path, database: str, place: Place) -> None:
    """Claims keep their transactions open while objects are copied; with few connections they wait for each other."""
    pictures = Pictures(tmp_path, database, place, count=450)
    before = place.all()
    with pooled(database, size=3) as url:
        pictures.url = url
        pictures.open()
        assert State.VERIFIED is pictures.apply().state
        assert {"copied": 450} == pictures.outcomes()
        assert pictures.apply().nothing_done
        pictures.back()
    assert before == place.all()
