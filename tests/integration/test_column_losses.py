"""A rollback that drops columns from tables that stay: values of the application there are counted and named first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from migrator.model.errors import ConfigurationError, RefusedError, UsageError
from migrator.workflow.desk import Desk
from tests.support.projects import MOVE, back, definition, execute, make_project, make_source, rows_of, run

UP = """
CREATE TABLE new (id bigint PRIMARY KEY);
ALTER TABLE people ADD COLUMN anonymous boolean NOT NULL DEFAULT false, ADD joined timestamptz DEFAULT now();
ALTER TABLE people ADD COLUMN of bigint REFERENCES new, ADD label text;
"""
DOWN = """
ALTER TABLE people DROP COLUMN of, DROP label;
ALTER TABLE people DROP COLUMN anonymous, DROP COLUMN IF EXISTS joined;
DROP TABLE new
"""
FILL = """
backfill = Backfill(
    source="people", key="id", target="people",
    columns={"anonymous": sql("name IS NULL"), "label": sql("upper(name)")},
)"""


def project(tmp_path: Path, url: str, down: str = DOWN) -> Desk:
    """Make two sources, and a project that moves one and writes into new columns of the other."""
    make_source(url, columns="note text", rows=[(1, "a"), (2, "b")])
    execute(url, "CREATE TABLE people (id int PRIMARY KEY, name text)")
    execute(url, "INSERT INTO people VALUES (1, 'ann'), (2, NULL), (3, 'cy'), (4, 'di'), (5, 'ed')")
    moves = definition({"id": 'column("id")'}, left_behind="{'note': 'not needed'}")
    return make_project(tmp_path, url, ddl_up=UP, ddl_down=down, backfills={MOVE: moves, "fill": FILL})


def refused(desk: Desk, lose: Sequence[str] = ()) -> str:
    """Say why a rollback is refused."""
    with pytest.raises(RefusedError) as error:
        back(desk, lose=lose)
    assert error.value.id == "M412"
    return error.value.what


def people(url: str) -> list[tuple[object, ...]]:
    """Give the rows as they are."""
    return rows_of(url, "SELECT * FROM people ORDER BY id")


def test_values_in_columns_that_go_are_counted_and_named(database: str, tmp_path: Path) -> None:
    """What we wrote, what rows got by themselves and NULL are no loss; what the application wrote is, by column."""
    desk = project(tmp_path, database)
    before = people(database)
    run(desk)
    back(desk)  # nothing of the application's: nothing is lost
    assert people(database) == before
    run(desk)
    execute(database, "UPDATE people SET of = 2 WHERE id IN (1, 4)")
    execute(database, "UPDATE people SET joined = '2020-01-01' WHERE id = 5")
    execute(
        database,
        "INSERT INTO people (id, name, anonymous, label) VALUES (6, 'fay', true, 'mine'), (7, NULL, false, NULL)",
    )
    what = refused(desk)
    assert "1 value of people.anonymous: 1 written by the application (6)" in what
    assert "1 value of people.label: 1 written by the application (6)" in what
    assert "2 values of people.of: 2 written by the application (1, 4)" in what
    assert "3 values of people.joined: 3 written by the application (5, 6, 7)" in what
    with pytest.raises(UsageError, match="is not what would be lost"):
        back(desk, lose=["3 rows of people.of"])
    words = [
        "1 value of people.anonymous",
        "1 value of people.label",
        "2 values of people.of",
        "3 values of people.joined",
    ]
    assert "values of people.joined" in refused(desk, words[:3])
    back(desk, lose=words)
    assert people(database) == [*before, (6, "fay"), (7, None)]


def test_a_value_changed_since_it_was_written_is_counted_once(database: str, tmp_path: Path) -> None:
    """A row written in place that the application changed is a loss of a row, and its column no loss beside it."""
    desk = project(tmp_path, database)
    run(desk)
    execute(database, "UPDATE people SET label = 'other' WHERE id = 3")
    what = refused(desk)
    assert "1 row of people: 1 changed by it since they were moved (3)" in what
    assert "value" not in what
    back(desk, keep_new=True)
    assert ("cy", "other") in rows_of(database, "SELECT name, label FROM people")
    assert rows_of(database, "SELECT to_regclass('new') IS NOT NULL") == [(True,)]


def test_a_column_that_goes_without_a_word_is_refused(database: str, tmp_path: Path) -> None:
    """A downgrade that drops a column which its text does not name is stopped, and the column stays with its values."""
    hidden = "DO $$BEGIN EXECUTE 'ALTER TABLE people DROP ' || 'anonymous'; END$$; ALTER TABLE people DROP of;"
    desk = project(tmp_path, database, hidden + "ALTER TABLE people DROP joined; DROP TABLE new")
    run(desk)
    with pytest.raises(ConfigurationError, match=r"drops people\.anonymous, which its text does not say") as error:
        back(desk)
    assert error.value.id == "M461"
    assert rows_of(database, "SELECT count(anonymous), count(joined) FROM people") == [(5, 5)]


def test_values_written_while_a_rollback_runs_are_not_lost(database: str, tmp_path: Path) -> None:
    """The downgrade counts once more under lock: what came after the first count stops it."""
    desk = project(tmp_path, database)
    run(desk)
    execute(
        database,
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " INSERT INTO people (id, anonymous) VALUES (9, true) ON CONFLICT DO NOTHING; RETURN NULL; END$$;"
        "CREATE TRIGGER late AFTER DELETE ON new FOR EACH STATEMENT EXECUTE FUNCTION late()",
    )
    with pytest.raises(RefusedError, match=r"people\.anonymous holds 1 value which are not ours"):
        back(desk)
    back(desk, lose=["1 value of people.anonymous", "1 value of people.joined"])
    assert [row[0] for row in people(database)] == [1, 2, 3, 4, 5, 9]
