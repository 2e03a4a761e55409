"""Tables named by a script of DDL."""

from __future__ import annotations

from migrator.database.ddl import tables_locked, tables_made
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
