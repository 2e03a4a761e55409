"""Finding 16: what ON CONFLICT DO NOTHING does not tell, and what becomes of such rows."""

from __future__ import annotations

import re
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from migrator.database.session import transaction
from migrator.engine.blame import Blame
from migrator.engine.contested import SUPPRESSED
from migrator.engine.prepare import prepare
from migrator.model.errors import MigratorError
from migrator.model.step import Phase
from tests.support.projects import back, check, execute, fates, one_table, rows_of, run, terms

if TYPE_CHECKING:
    from pathlib import Path

# The first row fails, so that the batches after it are careful ones; what is contested is written down.
FAILS_AT_1 = (
    "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN IF NEW.id = 1 THEN RAISE 'not this one'; END IF; RETURN NEW; END$$;"
    "CREATE TRIGGER fails BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION fails();"
)
WATCH = (
    "CREATE TABLE contested (source_key text[]);"
    "CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN INSERT INTO public.contested VALUES (NEW.source_key); RETURN NEW; END$$;"
    "CREATE TRIGGER watch AFTER INSERT ON migrator.change_log FOR EACH ROW EXECUTE FUNCTION watch();"
)


def test_finding_16_a_row_committed_after_the_snapshot_is_decided_again(database: str, tmp_path: Path) -> None:
    """A row that was neither inserted nor returned nor visible goes to the change log, and is merged by a new look."""
    desk = one_table(
        tmp_path, database, rows=[(n, f"row {n}") for n in range(1, 5)], also=FAILS_AT_1, settings={"batch_rows": 1}
    )
    run(desk, to=Phase.EXPAND)
    execute(database, WATCH)
    worker = threading.Thread(target=lambda: run(desk))
    with closing(psycopg.connect(database)) as application:
        application.execute("INSERT INTO new VALUES (3, 'of the application')")
        worker.start()
        wait_for_a_lock(database)
        application.commit()
    worker.join(30)
    assert [(["3"],)] == rows_of(database, "SELECT source_key FROM contested")
    ends = {"1": ("quarantined", "not this one"), "2": ("moved", "2"), "3": ("merged", "3"), "4": ("moved", "4")}
    assert ends == fates(desk)
    assert [(2, "row 2"), (3, "of the application"), (4, "row 4")] == rows_of(database, "SELECT * FROM new ORDER BY 1")
    assert [] == rows_of(database, "SELECT * FROM migrator.change_log")


def wait_for_a_lock(url: str) -> None:
    """Wait until somebody waits for another transaction's row."""
    end = time.monotonic() + 20
    asked = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event IN ('transactionid', 'SpeculativeToken')"
    )
    while not rows_of(url, asked):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_finding_16_a_suppressed_insert_is_quarantined_by_name(database: str, tmp_path: Path) -> None:
    """A trigger that returns NULL swallows rows without an error: each is found and quarantined, the others move."""
    swallow = (
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF NEW.id % 3 = 0 THEN RETURN NULL; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER swallow BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION swallow()"
    )
    rows = [(number, "x") for number in range(1, 11)]
    desk = one_table(tmp_path, database, rows=rows, also=swallow, settings={"batch_rows": 4})
    run(desk)
    assert {("moved", ""): 7, ("quarantined", SUPPRESSED): 3} == terms(desk)
    held = rows_of(database, "SELECT source_key[1] FROM migrator.quarantine ORDER BY source_key[1]::int")
    assert [("3",), ("6",), ("9",)] == held
    assert 7 == rows_of(database, "SELECT count(*) FROM new")[0][0]
    assert {} == {name: number for one in check(desk).comparisons for name, number in one.counts.items()}
    back(desk)
    assert [] == rows_of(database, "SELECT FROM pg_class WHERE relname = 'new'")


@pytest.mark.parametrize("event", ["INSERT", "UPDATE", "DELETE"])
def test_finding_16_a_target_with_rules_is_refused(database: str, tmp_path: Path, event: str) -> None:
    """A DO INSTEAD NOTHING rule would lose rows without an error: it is refused by name, and nothing is written."""
    rule = f"CREATE RULE none_of_it AS ON {event} TO new DO INSTEAD NOTHING"
    desk = one_table(tmp_path, database, rows=[(1, "a"), (2, "b"), (3, "c")], also=rule)
    with pytest.raises(MigratorError, match="rules that rewrite what is written to it: none_of_it") as caught:
        run(desk)
    assert "M143" == caught.value.id
    assert [] == rows_of(database, "SELECT * FROM new")
    assert [] == rows_of(database, "SELECT * FROM migrator.quarantine")


def test_finding_16_another_unique_key_is_never_swallowed(database: str, tmp_path: Path) -> None:
    """A partial unique index, which no arbiter names, stops its row alone, under the index's name."""
    also = "CREATE UNIQUE INDEX one_x ON new (note) WHERE note = 'x'"
    desk = one_table(tmp_path, database, rows=[(1, "x"), (2, "y"), (3, "x"), (4, "y")], also=also)
    run(desk)
    held = rows_of(database, "SELECT source_key[1], sqlstate, constraint_name FROM migrator.quarantine")
    assert [("3", "23505", "one_x")] == held
    assert [(1,), (2,), (4,)] == rows_of(database, "SELECT id FROM new ORDER BY 1")
    assert {} == {name: number for one in check(desk).comparisons for name, number in one.counts.items()}


def test_finding_16_every_conflict_names_its_arbiter(database: str, tmp_path: Path) -> None:
    """The bare form of ON CONFLICT, which swallows every unique key, is in none of our statements."""
    desk = one_table(tmp_path, database)
    run(desk)
    (backfill,) = desk.change.backfills
    with desk.database.connect() as conn, transaction(conn, read_only=True):
        prepared = prepare(conn, desk.change, backfill, search_path="public")
    writing = prepared.writing()
    careful = [
        writing.careful(1, None, None, ends=True),
        writing.contested(("1",), 1),
        writing.single(1, Blame(key=("1",), reason="reason")),
    ]
    for statement in careful:
        found = re.findall(r"ON CONFLICT\s*(\([^)]*\))?", statement)
        assert found
        assert all(found)
    assert 'ON CONFLICT ("id") DO NOTHING' in careful[0]
    assert "ON CONFLICT" not in writing.plain(1, None, None, ends=True)


def test_finding_16_the_application_writes_the_same_rows_meanwhile(database: str, tmp_path: Path) -> None:
    """Whatever the application inserts while we copy, each row is there once, ours or its own, and all is accounted."""
    total = 300
    rows = [(number, "ours") for number in range(1, total + 1)]
    desk = one_table(tmp_path, database, rows=rows, settings={"batch_rows": 7})
    run(desk, to=Phase.EXPAND)
    stop = threading.Event()

    def write() -> None:
        with closing(psycopg.connect(database, autocommit=True)) as conn:
            for number in range(total, 0, -3):
                if stop.is_set():
                    return
                conn.execute("INSERT INTO new VALUES (%s, 'theirs') ON CONFLICT (id) DO NOTHING", (number,))

    writer = threading.Thread(target=write)
    writer.start()
    run(desk)
    stop.set()
    writer.join(30)
    by_note = dict(rows_of(database, "SELECT note, count(*) FROM new GROUP BY 1"))
    assert total == sum(by_note.values())
    expected = {("moved", ""): by_note["ours"], ("merged", ""): by_note.get("theirs", 0)}
    assert {key: number for key, number in expected.items() if number} == terms(desk)
    assert bool(check(desk).proven)
