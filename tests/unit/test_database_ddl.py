"""Tables named by a script of DDL."""

from __future__ import annotations

import pytest

from migrator.database.ddl import columns_dropped, tables_locked, tables_made
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
