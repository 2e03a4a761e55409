"""Not getting in: every reason has its id, the address without secrets, and a cure."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from migrator.database import urls
from migrator.database.connect import Connection, Database
from migrator.database.session import execute, value
from migrator.model.errors import MigratorError, UsageError, WorldError
from migrator.servers import Postgres
from tests.support.databases import Server, beside


@pytest.fixture(scope="module")
def strict(server: Server) -> Iterator[Postgres]:
    """Start a server that asks for passwords."""
    with Postgres.start(beside(server), settings={"max_connections": "6"}) as private:
        with closing(Database(url=private.url()).connect()) as conn:
            execute(conn, "CREATE ROLE \"O'Brien\" LOGIN PASSWORD 'right%40'")
            execute(conn, "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
            execute(conn, "CREATE ROLE nologin NOLOGIN")
            execute(conn, "CREATE ROLE stranger LOGIN")
            execute(conn, "CREATE DATABASE closed")
            execute(conn, "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
            rules = Path(value(conn, "SHOW hba_file"))
            rules.write_text(
                "host all postgres,crowded,nologin,gone 127.0.0.1/32 trust\n"
                "host closed stranger 127.0.0.1/32 trust\n"
                "host all O'Brien 127.0.0.1/32 scram-sha-256\n"
            )
            execute(conn, "SELECT pg_reload_conf()")
        yield private


def address(server: Postgres, login: str, database: str = "postgres") -> str:
    """Write an address on that server."""
    return f"postgresql://{login}@127.0.0.1:{port_of(server)}/{database}"


def port_of(server: Postgres) -> str:
    """Find the port of a server."""
    return urls.parts_of(server.url())["port"]


def refused(url: str) -> MigratorError:
    """Try to connect and give the error, after looking that it shows no secret."""
    with pytest.raises(MigratorError) as caught:
        Database(url=url).connect()
    said = caught.value.what + caught.value.cure
    assert "wrong" not in said
    assert caught.value.cure
    assert "127.0.0.1" in said
    return caught.value


def test_the_connection_is_as_promised(database: str) -> None:
    """Autocommit, no prepared statements, our name, UTF-8."""
    with closing(Database(url=database).connect()) as conn:
        assert conn.autocommit
        assert conn.prepare_threshold is None
        assert value(conn, "SHOW application_name") == "migrator"
        assert value(conn, "SHOW client_encoding") == "UTF8"


def test_a_database_with_a_dirty_name_is_reached(strict: Postgres) -> None:
    """Quotes, percent signs, spaces and unicode reach the server unharmed."""
    name = "My \"%s\" 'Dätabase' :x"
    with closing(Database(url=strict.url()).connect()) as conn:
        execute(conn, f"""CREATE DATABASE "{name.replace('"', '""')}\"""")
        execute(conn, "SELECT pg_reload_conf()")
    with closing(Database(url=strict.url(name)).connect()) as conn:
        assert value(conn, "SELECT current_database()") == name


def test_a_right_password_is_right(strict: Postgres) -> None:
    """The password of the address is the one that is sent."""
    with closing(Database(url=address(strict, "O'Brien:right%2540")).connect()) as conn:
        assert value(conn, "SELECT current_user") == "O'Brien"


def test_nobody_listens() -> None:
    """M302 for a port without a server."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = refused(f"postgresql://u:wrong@127.0.0.1:{port}/db")
    assert (error.id, type(error)) == ("M302", WorldError)
    assert "refused" in error.what


def test_a_host_that_does_not_exist() -> None:
    """M302 for a name nobody knows."""
    with pytest.raises(WorldError) as caught:
        Database(url="postgresql://u:wrong@does-not-exist.invalid/db").connect()
    assert caught.value.id == "M302"
    assert "wrong" not in caught.value.what


def test_a_server_that_never_answers() -> None:
    """M302 in the time the address allows, not after minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(f"postgresql://u:wrong@127.0.0.1:{silent.getsockname()[1]}/db?connect_timeout=2")
    assert error.id == "M302"


def test_a_wrong_password(strict: Postgres) -> None:
    """M303 names the user and where passwords can come from."""
    error = refused(address(strict, "O%27Brien:wrong"))
    assert (error.id, type(error)) == ("M303", UsageError)
    assert "O'Brien" in error.what
    assert "PGPASSFILE" in error.cure


def test_no_password(strict: Postgres) -> None:
    """M303 as well."""
    assert refused(address(strict, "O%27Brien")).id == "M303"


def test_a_password_from_a_file(strict: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGPASSFILE and PGSERVICEFILE work as for every other program."""
    passwords = tmp_path / "pgpass"
    passwords.write_text("*:*:*:O'Brien:right%40\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    services = tmp_path / "services"
    services.write_text(f"[here]\nhost=127.0.0.1\nport={port_of(strict)}\nuser=O'Brien\ndbname=postgres\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    with closing(Database(url="service=here").connect()) as conn:
        assert value(conn, "SELECT current_user") == "O'Brien"


def test_no_entry_in_pg_hba(strict: Postgres) -> None:
    """M303 names the file that has to be changed."""
    error = refused(address(strict, "stranger"))
    assert error.id == "M303"
    assert "pg_hba.conf" in error.cure


def test_a_database_that_does_not_exist(strict: Postgres) -> None:
    """M304 names it, with its dirty name."""
    error = refused(address(strict, "postgres", "no%20%25s"))
    assert (error.id, type(error)) == ("M304", UsageError)
    assert "'no %s'" in error.what


@pytest.mark.parametrize("role", ["gone", "nologin"])
def test_a_role_that_does_not_exist_or_may_not_log_in(strict: Postgres, role: str) -> None:
    """M306 names the role."""
    error = refused(address(strict, role))
    assert (error.id, type(error)) == ("M306", UsageError)
    assert role in error.what


def test_a_database_that_the_role_may_not_enter(strict: Postgres) -> None:
    """M306 names the GRANT."""
    error = refused(address(strict, "stranger", "closed"))
    assert error.id == "M306"
    assert 'GRANT CONNECT ON DATABASE "closed" TO "stranger"' in error.cure


def test_no_connection_left(strict: Postgres) -> None:
    """M309 for a role's limit and for the server's."""
    assert refused(address(strict, "crowded")).id == "M309"
    held: list[Connection] = []
    try:
        with pytest.raises(WorldError) as caught:
            for _ in range(20):
                held.append(Database(url=strict.url()).connect())
        assert caught.value.id == "M309"
    finally:
        for conn in held:
            conn.close()


def test_a_server_that_was_killed_and_one_that_is_back(killable: Postgres) -> None:
    """M302 while it is down; the same address works when it is back."""
    killable.kill()
    assert refused(killable.url()).id == "M302"
    killable.restart()
    Database(url=killable.url()).connect().close()
