"""The shape of a database, copied without its rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from migrator.database import inventory
from migrator.database.connect import Connection, Database
from migrator.database.session import execute, rows
from migrator.database.shape import Shape, ShapeUnavailable, copy_schema
from migrator.servers import Postgres, find, find_all, find_dump
from tests.support.databases import Server, beside

DIRTY = """
    CREATE SCHEMA migrator; CREATE TABLE migrator.secret (x int);
    CREATE SCHEMA "S %s";
    CREATE TYPE "S %s"."T:x" AS ENUM ('it''s', '100%');
    CREATE TABLE "S %s"."Ta""ble" (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "Cä%s" "S %s"."T:x" DEFAULT 'it''s', n int
            CHECK (n > 0)
    );
    INSERT INTO "S %s"."Ta""ble" (n) VALUES (1);
    CREATE TABLE child (x uuid REFERENCES "S %s"."Ta""ble", n text UNIQUE);
    CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $x$
BEGIN
--
-- Name: nothing, and no heading either
--
RETURN '%s
\\restrict nothing
\\connect nowhere
';
END $x$;
    CREATE VIEW v AS SELECT * FROM child;
    COMMENT ON VIEW v IS 'a; b';
"""


@pytest.fixture(scope="module")
def servers(server: Server) -> Iterator[tuple[Postgres, Postgres]]:
    """Start a server to copy from, and one to copy to as the tool would choose it."""
    with Postgres.start(beside(server)) as one, Postgres.start(find(server.major)) as other:
        yield one, other


@pytest.fixture
def pair(servers: tuple[Postgres, Postgres]) -> Iterator[tuple[str, str]]:
    """Give an empty database on each."""
    for server in servers:
        with closing(Database(url=server.url()).connect()) as conn:
            execute(conn, "DROP DATABASE IF EXISTS here WITH (FORCE)")
            execute(conn, "CREATE DATABASE here")
    return servers[0].url("here"), servers[1].url("here")


@pytest.fixture
def source(pair: tuple[str, str]) -> Iterator[Connection]:
    """Connect to the database to copy from."""
    with closing(Database(url=pair[0]).connect()) as conn:
        yield conn


def dump_of(servers: tuple[Postgres, Postgres]) -> Path:
    """Find the pg_dump that the tool would choose."""
    return find_dump(servers[0].major)


def test_everything_but_rows_is_copied(
    servers: tuple[Postgres, Postgres], pair: tuple[str, str], source: Connection
) -> None:
    """Both databases have the same objects, ours left out, and the copy has no row."""
    execute(source, DIRTY)
    execute(source, "DO $$BEGIN EXECUTE format('GRANT SELECT ON child TO %I', 'pg_monitor'); END$$")
    assert copy_schema(*pair, dump_of(servers)) == Shape()
    with closing(Database(url=pair[1]).connect()) as copy:
        here, there = inventory.objects(source), inventory.objects(copy)
        for one in (here, there):  # before 16 a view is printed with the table before every column
            one["view public.v"] = one["view public.v"].replace(" child.", " ")
        assert inventory.find(copy, "migrator.secret") is None
        assert rows(copy, 'SELECT * FROM "S %s"."Ta""ble"') == []
    rights = ("grants", "owner", "schema public", "comment on schema")
    assert {name: one for name, one in here.items() if not name.startswith(rights)} == {
        name: one for name, one in there.items() if not name.startswith(rights)
    }
    assert "\n\\restrict nothing\n\\connect nowhere\n" in there["function public.f()"]


def test_what_no_type_hangs_on_may_be_left_out(
    servers: tuple[Postgres, Postgres], pair: tuple[str, str], source: Connection
) -> None:
    """A policy for a role that the scratch server lacks is left out and named."""
    execute(
        source,
        'CREATE ROLE "only here"; CREATE TABLE t (x int); CREATE POLICY p ON t TO "only here" USING (true)',
    )
    found = copy_schema(*pair, dump_of(servers))
    assert isinstance(found, Shape)
    assert len(found.left_out) == 1
    assert found.left_out[0].startswith("policy t p")
    execute(source, 'DROP POLICY p ON t; DROP ROLE "only here"')


def test_a_type_that_cannot_be_made_is_no_shape(
    servers: tuple[Postgres, Postgres], pair: tuple[str, str], source: Connection
) -> None:
    """What is in the way is named, and nothing half is left behind."""
    execute(source, "CREATE TABLE a (x int); CREATE TABLE t (x int)")
    with closing(Database(url=pair[1]).connect()) as copy:
        execute(copy, "CREATE TABLE t (y int)")
        found = copy_schema(*pair, dump_of(servers))
        assert isinstance(found, ShapeUnavailable)
        assert "table t" in found.reason
        assert inventory.find(copy, "a") is None


def test_a_missing_extension_is_named_or_stood_in_for(
    servers: tuple[Postgres, Postgres], pair: tuple[str, str]
) -> None:
    """uuid-ossp, which the scratch server lacks, is replaced by functions of the right types."""
    if servers[1].major < 18:
        pytest.skip("a scratch server of the wheel of 18 is what lacks them")
    older = next((one for one in find_all() if one.version.startswith("15")), None)
    if older is None:
        pytest.skip("needs a second PostgreSQL, with uuid-ossp and an extension that the first lacks")
    with Postgres.start(older) as server:
        with closing(Database(url=server.url()).connect()) as conn:
            execute(conn, 'CREATE SCHEMA ext; CREATE EXTENSION "uuid-ossp" WITH SCHEMA ext')
            execute(conn, "CREATE TABLE t (id uuid DEFAULT ext.uuid_generate_v4())")
            found = copy_schema(server.url(), pair[1], dump_of(servers))
            assert isinstance(found, Shape)
            execute(
                conn,
                "CREATE COLLATION german (provider = icu, locale = 'de'); CREATE TABLE u (x text COLLATE german)",
            )
        with closing(Database(url=servers[1].url()).connect()) as conn:
            execute(conn, "DROP DATABASE here WITH (FORCE)")
            execute(conn, "CREATE DATABASE here")
        found = copy_schema(server.url(), pair[1], dump_of(servers))
        assert isinstance(found, ShapeUnavailable)
        assert "german" in found.reason


def test_what_goes_wrong_is_a_reason_without_secrets(servers: tuple[Postgres, Postgres], pair: tuple[str, str]) -> None:
    """No server, no program, an older program: each is a value, and none shows the password."""
    nowhere = "postgresql://u:secret@127.0.0.1:1/x"
    reasons = [
        copy_schema(nowhere, pair[1], dump_of(servers)),
        copy_schema(pair[0], nowhere, dump_of(servers)),
        copy_schema(nowhere, pair[1], Path("/nowhere/pg_dump")),
    ]
    for found in reasons:
        assert isinstance(found, ShapeUnavailable)
        assert "secret" not in found.reason


def test_the_password_is_not_on_the_command_line(tmp_path: Path) -> None:
    """Every user of the machine can read command lines, but not the environment."""
    program = tmp_path / "pg_dump"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "$PGPASSWORD" > {tmp_path}/password\nexit 1\n'
    )
    program.chmod(0o755)
    copy_schema("postgresql://u:se%20cret@h/db", "postgresql://h/x", program)
    assert (tmp_path / "password").read_text() == "se cret\n"
    arguments = (tmp_path / "arguments").read_text()
    assert "cret" not in arguments
    assert "dbname=db" in arguments
