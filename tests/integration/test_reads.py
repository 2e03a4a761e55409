"""Finding 3: a definition reads more than its source, and a proof is stale when any of it was written to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from migrator.model.step import Event, Phase, State
from migrator.workflow import use_cases
from migrator.workflow.status import status
from tests.support.projects import definition, execute, make_project, one_table, rows_of, run

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.workflow.desk import Desk

LOOKED_UP = "(SELECT max(w.said) FROM words w WHERE w.id = old.id)"
WORDS = "CREATE TABLE words (id bigint, said text); INSERT INTO words VALUES (1, 'uno'), (2, 'due')"
VIEW = "CREATE TABLE base (id bigint, said text); INSERT INTO base VALUES (1, 'uno');"
BEHIND = {
    "a table": (WORDS, "words"),
    "a partition": (
        "CREATE TABLE words (id bigint, said text) PARTITION BY LIST (id);"
        "CREATE TABLE words_1 PARTITION OF words FOR VALUES IN (1)",
        "words",
    ),
    "a view's table": (f"{VIEW} CREATE VIEW words AS SELECT * FROM base", "base"),
    "a table that inherits": (
        "CREATE TABLE words (id bigint, said text); CREATE TABLE base () INHERITS (words)",
        "base",
    ),
}


def reading(tmp_path: Path, url: str, *, before: str, fragment: str = LOOKED_UP) -> Desk:
    """Make a change whose definition reads more than its source."""
    return one_table(tmp_path, url, before=before, fill={"note": f"sql({fragment!r})"})


def state(desk: Desk) -> State:
    """Say where a change is, once the counters of the server have come in."""
    for _ in range(50):
        found = use_cases.status_facts(desk).state
        if found is not State.VERIFIED:
            return found
        time.sleep(0.1)
    return found


@pytest.mark.parametrize("behind", BEHIND)
def test_finding_3_a_write_to_what_is_looked_up_makes_the_proof_stale(
    database: str, tmp_path: Path, behind: str
) -> None:
    """The proof speaks of all that was read: a row written there, and it holds no more."""
    before, written = BEHIND[behind]
    desk = reading(tmp_path, database, before=before)
    assert State.VERIFIED is run(desk, to=Phase.VERIFY).state
    execute(database, f"INSERT INTO {written} VALUES (1, 'one')")
    assert State.COPIED is state(desk)


@pytest.mark.parametrize(
    "written",
    [
        "TRUNCATE words",
        "CREATE OR REPLACE VIEW seen AS SELECT id, upper(said) AS said FROM words",
        "REFRESH MATERIALIZED VIEW kept",
    ],
)
def test_finding_3_a_proof_is_stale_after_what_no_counter_sees(database: str, tmp_path: Path, written: str) -> None:
    """TRUNCATE, another view and a REFRESH are no writes of rows, and are seen all the same."""
    views = "CREATE VIEW seen AS SELECT * FROM words; CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen"
    three = "(SELECT count(*) FROM words) + (SELECT count(*) FROM seen) + (SELECT count(*) FROM kept)"
    desk = reading(tmp_path, database, before=f"{WORDS}; {views}", fragment=f"({three})::text")
    assert State.VERIFIED is run(desk, to=Phase.VERIFY).state
    execute(database, written)
    assert State.COPIED is state(desk)


def test_finding_3_a_write_to_a_partition_of_the_source_makes_the_proof_stale(database: str, tmp_path: Path) -> None:
    """The counters of a partitioned source are those of its partitions, also of one that came later."""
    execute(
        database,
        "CREATE TABLE old (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id);"
        "CREATE TABLE old_1 PARTITION OF old FOR VALUES FROM (1) TO (9); INSERT INTO old VALUES (1, 'one')",
    )
    desk = make_project(tmp_path, database)
    assert State.VERIFIED is run(desk, to=Phase.VERIFY).state
    execute(database, "CREATE TABLE old_2 PARTITION OF old FOR VALUES FROM (9) TO (99)")
    assert State.COPIED is state(desk)


def test_finding_3_plan_lists_what_is_read(database: str, tmp_path: Path) -> None:
    """The plan names every relation a definition reads, the tables of a view among them, and no other."""
    before = f"{VIEW} CREATE VIEW words AS SELECT * FROM base; CREATE TABLE other (id bigint)"
    desk = reading(tmp_path, database, before=before)
    assert {"move_old_to_new": ("base", "words")} == dict(use_cases.plan(desk).reads)


def test_finding_3_plan_says_nothing_where_only_the_source_is_read(database: str, tmp_path: Path) -> None:
    """A definition of plain columns reads its source alone."""
    assert {} == dict(use_cases.plan(one_table(tmp_path, database)).reads)


UNCOUNTED = {
    "function": (
        f"{WORDS}; CREATE FUNCTION word(bigint) RETURNS text STABLE LANGUAGE plpgsql AS"
        " $$BEGIN RETURN (SELECT max(said) FROM words WHERE id = $1); END$$",
        "word(old.id)",
        "what the function word() reads",
    ),
    "system": ("SELECT 1", "(SELECT max(rolname)::text FROM pg_catalog.pg_roles)", "the system's pg_catalog.pg_authid"),
}


@pytest.mark.parametrize("what", UNCOUNTED)
def test_finding_3_a_proof_over_what_nobody_counts_holds_for_its_run_alone(
    database: str, tmp_path: Path, what: str
) -> None:
    """Such a proof is said to be one by the run that made it, and never afterwards; status says why."""
    before, fragment, named = UNCOUNTED[what]
    desk = reading(tmp_path, database, before=before, fragment=fragment)
    report = run(desk, to=Phase.VERIFY)
    assert (State.VERIFIED, True) == (report.state, report.proven)
    (line,) = status(desk.project, url=database)
    assert State.COPIED is line.state
    assert named in " ".join(line.reasons)
    again = run(desk, to=Phase.VERIFY)
    assert (State.VERIFIED, True) == (again.state, again.proven)


def test_a_definition_cannot_turn_to_other_tables_once_rows_are_moved(database: str, tmp_path: Path) -> None:
    """Rows that were moved stay those of their tables: another target is refused by the names of both."""
    desk = one_table(tmp_path, database)
    run(desk, to=Phase.VERIFY)
    execute(database, "CREATE TABLE other (id bigint PRIMARY KEY, note text)")
    columns = {"id": 'column("id")', "note": 'column("note")'}
    wrong = make_project(tmp_path, database, backfills={"move_old_to_new": definition(columns, target="'other'")})
    with pytest.raises(Exception, match=r"M403.*from old to new.*from old to other"):
        run(wrong, to=Phase.VERIFY)
    assert [] == rows_of(database, "SELECT * FROM other")


def test_a_write_while_rows_are_compared_makes_the_proof_stale(database: str, tmp_path: Path) -> None:
    """What is written during a comparison, behind its back, is no part of the proof that it ends with."""
    desk = one_table(tmp_path, database)
    run(desk, to=Phase.VERIFY)
    written = []

    def write(event: Event) -> None:
        if event.kind == "progress" and not written:
            written.append(event)
            execute(database, "UPDATE old SET note = 'changed' WHERE id = 1")

    assert use_cases.verify(desk, listen=write).proven
    assert State.COPIED is state(desk)
