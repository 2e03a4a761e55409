"""Tables named by a script of DDL."""

from __future__ import annotations

import pytest

from migrator.database.ddl import columns_dropped, locks, tables_locked, tables_made
from migrator.model.names import Relation

SCRIPT = """
CREATE TABLE public.Jobs (
    id uuid PRIMARY KEY,
    owner uuid REFERENCES auth.users (id) ON DELETE CASCADE,
    parent uuid REFERENCES "My ""Tab.le" (id)
);
create unlogged table if not exists Loose (x int);
ALTER TABLE ONLY public.jobs ADD CHECK (true);
ALTER TABLE "CamelCase" ADD x int;
CREATE UNIQUE INDEX i ON app.orders USING btree (lower(x));
CREATE TRIGGER t BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION f();
DROP TABLE IF EXISTS old;
CREATE INDEX j ON jobs (id);
"""


def test_tables_that_are_made_are_found() -> None:
    """Names are read as PostgreSQL reads them: folded unless quoted."""
    assert tables_made(SCRIPT) == (Relation("public", "jobs"), Relation("public", "loose"))


def test_tables_in_use_that_are_locked_are_found() -> None:
    """Foreign keys, changes, indexes and triggers lock what was there before."""
    assert set(tables_locked(SCRIPT)) == {
        Relation("auth", "users"),
        Relation("public", 'My "Tab.le'),
        Relation("public", "CamelCase"),
        Relation("app", "orders"),
        Relation("public", "things"),
        Relation("public", "old"),
    }


def test_the_strongest_lock_of_each_table_is_said() -> None:
    """A new column stops readers too, a foreign key writers at both ends, its validation nobody."""
    assert locks(SCRIPT) == {
        Relation("auth", "users"): "SHARE ROW EXCLUSIVE",
        Relation("public", 'My "Tab.le'): "SHARE ROW EXCLUSIVE",
        Relation("public", "CamelCase"): "ACCESS EXCLUSIVE",
        Relation("app", "orders"): "SHARE",
        Relation("public", "things"): "SHARE ROW EXCLUSIVE",
        Relation("public", "old"): "ACCESS EXCLUSIVE",
    }
    foreign = 'ALTER TABLE "Job" ADD CONSTRAINT "a b" FOREIGN KEY (x) REFERENCES "Image" (id) NOT VALID;'
    one, other = Relation("public", "Job"), Relation("public", "Image")
    assert locks(foreign) == {one: "SHARE ROW EXCLUSIVE", other: "SHARE ROW EXCLUSIVE"}
    assert locks('ALTER TABLE "Job" VALIDATE CONSTRAINT c') == {one: "SHARE UPDATE EXCLUSIVE"}
    assert locks(f'{foreign}\nALTER TABLE "Job" VALIDATE CONSTRAINT c, ADD y int') == {
        one: "ACCESS EXCLUSIVE",
        other: "SHARE ROW EXCLUSIVE",
    }
    assert locks('CREATE INDEX CONCURRENTLY i ON public."Job" USING btree (x);') == {}


def test_a_script_without_tables_names_none() -> None:
    """Functions and comments are no tables."""
    assert tables_made("CREATE FUNCTION f() RETURNS int AS 'SELECT 1' LANGUAGE sql;") == ()
    assert tables_locked("COMMENT ON TABLE t IS 'REFERENCES';") == ()


@pytest.mark.parametrize(
    ("sql", "dropped"),
    [
        ("ALTER TABLE users DROP COLUMN is_anonymous;", [("users", "is_anonymous")]),
        (
            'alter table if exists only public."User" drop "imageId", drop column if exists X cascade;',
            "User.imageId User.x",
        ),
        ("ALTER TABLE a ALTER b DROP DEFAULT, ALTER c DROP NOT NULL, DROP CONSTRAINT d, ADD e int", []),
        ("ALTER TABLE a ADD CHECK (x IN ('b', 'c, DROP f')), DROP g; -- , DROP h\nALTER TABLE a DROP i", "a.g a.i"),
        ("CREATE TABLE a (drop_it int); DROP TABLE b; DROP INDEX c", []),
    ],
)
def test_columns_that_are_dropped_are_found(sql: str, dropped: str | list[tuple[str, str]]) -> None:
    """Whatever is done to a table beside it, a column that is dropped in words is found."""
    wanted = [tuple(one.split(".")) for one in dropped.split()] if isinstance(dropped, str) else dropped
    assert [(relation.name, name) for relation, name in columns_dropped(sql)] == wanted
