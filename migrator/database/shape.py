"""The shape of a database, without its rows, copied into a scratch server."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from migrator.database import failures, urls
from migrator.database.connect import Connection, Database
from migrator.database.session import execute, text
from migrator.model.errors import MigratorError
from migrator.model.names import quote


@dataclass(frozen=True, slots=True)
class ShapeUnavailable:
    """Why no copy could be made; nothing is then known of new types before `expand` ran."""

    reason: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A copy was made; `left_out` names what could not be copied and does not change any type."""

    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One object of a dump: its kind, its name, the SQL that makes it."""

    kind: str
    name: str
    sql: str


# No types hang on these, so that a scratch server may do without them.
_OPTIONAL = frozenset(
    {
        "ACL",
        "COMMENT",
        "DEFAULT ACL",
        "EVENT TRIGGER",
        "EXTENSION",
        "FK CONSTRAINT",
        "FOREIGN DATA WRAPPER",
        "FUNCTION",
        "POLICY",
        "PROCEDURE",
        "ROW SECURITY",
        "RULE",
        "SERVER",
        "SETTING",
        "STATISTICS",
        "TRIGGER",
        "USER MAPPING",
    }
)

_OPTIONS = (
    "--schema-only",
    "--no-owner",
    "--no-privileges",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
    "--no-tablespaces",
    "--no-password",
    "--exclude-schema=migrator",
    "--encoding=UTF8",
    "--lock-wait-timeout=5000",
)

_HEADING = re.compile(r"^--\n-- Name: (?P<name>.*?); Type: (?P<kind>[A-Z ]+); Schema: .*\n--\n", re.MULTILINE)
# Since August 2025 a dump is framed by two commands for psql, with a token of its own.
_RESTRICT = re.compile(r"^\\restrict (\w+)$", re.MULTILINE)


def copy_schema(source_url: str, scratch_url: str, pg_dump: Path) -> Shape | ShapeUnavailable:
    """Make the tables, types and all else of one database in another, empty one; no row is read."""
    dumped = _dump(source_url, pg_dump)
    if isinstance(dumped, ShapeUnavailable):
        return dumped
    try:
        with Database(url=scratch_url).connect() as conn:
            return _load(conn, list(_entries(dumped)))
    except (MigratorError, psycopg.Error) as error:
        return ShapeUnavailable(f"the scratch server failed: {failures.message(error)}")


def _dump(url: str, pg_dump: Path) -> str | ShapeUnavailable:
    parts = urls.parts_of(url)
    secrets = {"PGPASSWORD": parts.pop("password", None)}
    hidden = [parts.pop(name) for name in list(parts) if "password" in name]
    command = [str(pg_dump), *_OPTIONS, f"--dbname={make_conninfo(**parts)}"]
    environment = {
        **os.environ,
        **{name: value for name, value in secrets.items() if value},
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(  # noqa: S603 our own words, and no shell
            command, env=environment, capture_output=True, timeout=300, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return ShapeUnavailable(f"{pg_dump} cannot be run: {type(error).__name__}")
    if done.returncode != 0:
        said = failures.masked_text(" ".join(done.stderr.decode(errors="replace").split()))
        key = "; the key of its client certificate has a password, which pg_dump cannot be given" if hidden else ""
        return ShapeUnavailable(f"pg_dump failed: {said}{key}")
    return done.stdout.decode()


def _entries(dump: str) -> Iterator[_Entry]:
    """Cut a dump into its objects; what stands before the first one are settings."""
    first = _HEADING.search(dump)
    token = _RESTRICT.search(dump, 0, first.start() if first else 0)
    plain = re.sub(rf"^\\(?:un)?restrict {token[1]}$", "", dump, flags=re.MULTILINE) if token else dump
    found = list(_HEADING.finditer(plain))
    ends = [one.start() for one in found[1:]] + [len(plain)]
    for line in plain[: found[0].start()].splitlines() if found else ():
        if line and not line.startswith("--"):
            yield _Entry("SETTING", line, line)
    for one, end in zip(found, ends, strict=True):
        yield _Entry(one["kind"], one["name"], plain[one.end() : end])


def _load(conn: Connection, entries: list[_Entry]) -> Shape | ShapeUnavailable:
    """Make the objects in one transaction; what fails is tried again as long as that helps."""
    execute(conn, "BEGIN")
    left, why = entries, dict[_Entry, str]()
    while left:
        failed = [one for one in left if not _make(conn, one, why)]
        if len(failed) == len(left):
            break
        left = failed
    needed = [one for one in left if one.kind not in _OPTIONAL]
    if needed:
        execute(conn, "ROLLBACK")
        first = next((one for one in left if one.kind == "EXTENSION"), needed[0])
        return ShapeUnavailable(f"{first.kind.lower()} {first.name} cannot be made there: {why[first]}")
    execute(conn, "COMMIT")
    return Shape(tuple(f"{one.kind.lower()} {one.name}: {why[one]}" for one in left))


def _make(conn: Connection, entry: _Entry, why: dict[_Entry, str]) -> bool:
    try:
        with conn.transaction():
            conn.execute(text(_fitting(entry)))
    except psycopg.Error as error:
        if conn.closed:
            raise
        why[entry] = failures.message(error)
        return _stand_in(conn, entry)
    return True


def _fitting(entry: _Entry) -> str:
    """Fit an object to an empty database, which has a schema `public` already."""
    if entry.kind == "SCHEMA":
        return entry.sql.replace("CREATE SCHEMA ", "CREATE SCHEMA IF NOT EXISTS ", 1)
    return entry.sql


# What defaults call most; the types are what matters here, the values are never used.
_STAND_INS = {
    "uuid-ossp": (
        "uuid_generate_v1() RETURNS uuid",
        "uuid_generate_v1mc() RETURNS uuid",
        "uuid_generate_v4() RETURNS uuid",
    ),
    "pgcrypto": ("gen_random_uuid() RETURNS uuid", "gen_random_bytes(integer) RETURNS bytea"),
}


def _stand_in(conn: Connection, entry: _Entry) -> bool:
    """Make functions of the right types for an extension that the scratch server lacks."""
    found = re.search(r'CREATE EXTENSION (?:IF NOT EXISTS )?"?([\w-]+)"? WITH SCHEMA "?([^";]+)"?;', entry.sql)
    if entry.kind != "EXTENSION" or not found or found[1] not in _STAND_INS:
        return False
    with conn.transaction():
        for signature in _STAND_INS[found[1]]:
            body = "SELECT NULL::" + signature.rpartition(" ")[2]
            execute(
                conn,
                f"CREATE FUNCTION {quote(found[2])}.{signature} LANGUAGE sql VOLATILE AS '{body}'",
            )
    return True
