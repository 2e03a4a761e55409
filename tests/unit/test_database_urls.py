"""Addresses in every spelling, and none of their secrets."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from migrator.database import urls
from migrator.database.connect import Database
from migrator.model.errors import UsageError

SAME = [
    "postgres://user:secret@host:5433/db",
    "postgresql://user:secret@host:5433/db",
    "postgresql+psycopg://user:secret@host:5433/db",
    "postgresql+asyncpg://user:secret@host:5433/db",
    "  POSTGRES://user:secret@host:5433/db ",
    "host=host port=5433 user=user password=secret dbname=db",
    "postgresql://user:secret@host:5433/db?pgbouncer=true&connection_limit=1",
]


@pytest.mark.parametrize("url", SAME)
def test_every_spelling_means_the_same(url: str) -> None:
    """All the usual spellings of one address come to the same parts."""
    assert urls.parts_of(url) == {
        "user": "user",
        "password": "secret",
        "host": "host",
        "port": "5433",
        "dbname": "db",
    }


@pytest.mark.parametrize("url", SAME)
def test_the_driver_is_always_named_to_sqlalchemy(url: str) -> None:
    """SQLAlchemy is told psycopg 3, whatever the user wrote."""
    assert urls.for_sqlalchemy(url) == "postgresql+psycopg://user:secret@host:5433/db"


def test_special_characters_survive_the_way_to_sqlalchemy() -> None:
    """A password with every special character is the same on both sides."""
    made = make_url(urls.for_sqlalchemy("postgresql://u%40x:p%40%2F%3A%25s@h/my%20db?sslmode=require"))
    assert (made.username, made.password, made.database) == ("u@x", "p@/:%s", "my db")
    assert dict(made.query) == {"sslmode": "require"}


@pytest.mark.parametrize("host", ["/var/run/postgresql", "a,b", "::1"])
def test_unusual_hosts_go_into_the_query(host: str) -> None:
    """Sockets, several hosts and IPv6 addresses reach SQLAlchemy unharmed."""
    made = make_url(urls.for_sqlalchemy(f"host='{host}' dbname=db"))
    assert made.query["host"] == host


@pytest.mark.parametrize(
    "url",
    [
        *SAME,
        "postgresql://user:secret@host/db?sslpassword=secret",
        "postgresql://user:secret@host/db?options=secret",
        "postgresql://host/db?user=user&password=secret",
        "postgresql://user:sec@ret@secret@host/db",
        "postgresql://user:secret/x@host/db",
        "postgresql://user:%secret@host/db",
        "postgresql://user:secret@host:port/db?x=secret",
        "postgresql://user:a?secret@host/db",
        "host=h password='secret with \\' quote secret' dbname=db",
        "password = secret unknown=1",
        "mysql://user:secret@host/db",
        "secret",
    ],
)
def test_no_secret_is_ever_shown(url: str) -> None:
    """Neither the address as shown, nor an error about it, nor a repr holds a password."""
    assert "secret" not in urls.masked(url)
    assert "secret" not in repr(Database(url=url))
    said = ""
    try:
        urls.normalise(url)
    except UsageError as error:
        said = f"{error} {error.cure}"
    assert "secret" not in said
    assert said == "" or said.startswith("M313 ")


def test_what_is_no_secret_is_shown() -> None:
    """Host, port, user, database and harmless settings can be read."""
    shown = urls.masked("postgres://user:x@host:5433/db?sslmode=require&sslcert=x")
    assert shown == "postgresql://user:***@host:5433/db?sslmode=require&sslcert=***"


def test_the_database_is_named_as_libpq_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name comes from the address, else from PGDATABASE, else it is the user's."""
    monkeypatch.setenv("PGDATABASE", "from_env")
    assert urls.database_name("postgresql://u@h/my%20db") == "my db"
    assert urls.database_name("postgresql://u@h") == "from_env"
    monkeypatch.delenv("PGDATABASE")
    assert urls.database_name("postgresql://u@h") == "u"
    assert urls.database_name("service=here") == ""


def test_the_address_may_change_the_defaults() -> None:
    """What the address says about timeouts and names wins over ours; `options` is never added."""
    said = urls.parts_of(Database(url="postgresql://h/db?connect_timeout=3&application_name=x").conninfo())
    assert (said["connect_timeout"], said["application_name"], said["client_encoding"]) == (
        "3",
        "x",
        "utf8",
    )
    plain = urls.parts_of(Database(url="postgresql://h/db").conninfo())
    assert (plain["connect_timeout"], plain["application_name"]) == ("10", "migrator")
    assert "options" not in plain


def test_the_direct_address_is_used_where_there_is_one() -> None:
    """A pooler is bypassed only by an address that was given for it."""
    pooled = Database(url="postgresql://pool/db", direct_url="postgresql://direct/db")
    assert pooled.direct.url == "postgresql://direct/db"
    assert Database(url="postgresql://h/db").direct.url == "postgresql://h/db"
