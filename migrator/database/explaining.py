"""Explaining: how a failed statement is said, as one of our errors with its cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

import psycopg

from migrator.database.connect import Connection
from migrator.database.failures import Failure, detail, kind, message, sqlstate
from migrator.model.errors import MigratorError, UsageError, WorldError
from migrator.model.names import literal, quote

Connect: TypeAlias = Callable[[], Connection]


@contextmanager
def explained(doing: str, connect: Connect | None = None) -> Iterator[None]:
    """Turn whatever error of the database leaves the block into one of ours."""
    try:
        yield
    except psycopg.Error as error:
        raise as_error(error, doing, connect) from error


def as_error(exc: BaseException, doing: str, connect: Connect | None = None) -> MigratorError:
    """Say an error of the database in the user's names; `doing` completes 'While …'.

    With `connect`, a second connection is asked for what the error alone does not say.
    """
    if isinstance(exc, MigratorError):
        return exc
    state, said = sqlstate(exc), message(exc)
    match kind(exc):
        case Failure.RETRY:
            return _not_got(doing, state, said)
        case Failure.RIGHTS:
            return _rights(doing, said, connect)
        case Failure.READ_ONLY:
            return _read_only(doing, said)
        case Failure.LOST:
            return _lost(doing, said, state)
        case Failure.WORLD if state[:2] in {"53", "58"}:
            return _exhausted(doing, said, state)
        case Failure.WORLD if state == "57014":
            return _cancelled(doing, said)
        case _:
            return _other(doing, said, state, exc)


def _not_got(doing: str, state: str, said: str) -> WorldError:
    what = "a lock was not got in time" if state == "55P03" else f"another transaction was in the way ({said})"
    return WorldError(
        "M301",
        f"While {doing}: {what}.",
        "Run the same command again when the other transactions have ended, or allow a longer lock_timeout.",
    )


def _read_only(doing: str, said: str) -> WorldError:
    return WorldError(
        "M305",
        f"While {doing}: the server only reads ({said}).",
        "Give the address of the primary server; where the role or database is set to"
        " default_transaction_read_only, switch that off.",
    )


def _lost(doing: str, said: str, state: str) -> WorldError:
    cure = "Run the same command again; what was committed stays, and it goes on from there."
    if state in {"25P03", "25P04", "57P05"}:
        cure = f"A timeout of the server ended it: raise it for this role. {cure}"
    return WorldError("M307", f"While {doing}: the connection to the server was lost ({said}).", cure)


def _exhausted(doing: str, said: str, state: str) -> WorldError:
    cures = {
        "53100": "Make room on the server's disk; `migrator plan` shows how much a change needs.",
        "53200": "Give the server more memory, or ask for less: smaller batches, fewer workers, less work_mem.",
        "53300": "Close connections or raise max_connections; fewer workers need fewer.",
        "53400": "Raise the limit that the message names (temp_file_limit, for example).",
    }
    cure = cures.get(state, "Look into the server's log first: this is about the machine, not about the data.")
    return WorldError("M309", f"While {doing}: {said} ({state}).", f"{cure} Then run the same command again.")


def _cancelled(doing: str, said: str) -> WorldError:
    return WorldError(
        "M310",
        f"While {doing}: the statement was cancelled ({said}).",
        "Where a statement_timeout did it, allow a longer one; where a person did, ask why; then run the same"
        " command again.",
    )


_DENIED = re.compile(r"permission denied for (?P<kind>[a-z ]+?) (?P<name>.+)$")
_OWNER = re.compile(r"must be owner of (?P<kind>[a-z ]+?) (?P<name>.+)$")
_HIDES = re.compile(r'affected by row-level security policy for table "(?P<name>.*)"$')
_GRANTS = {
    "schema": "USAGE ON SCHEMA",
    "sequence": "USAGE, SELECT ON SEQUENCE",
    "function": "EXECUTE ON FUNCTION",
    "procedure": "EXECUTE ON PROCEDURE",
    "database": "CREATE ON DATABASE",
    "type": "USAGE ON TYPE",
    "language": "USAGE ON LANGUAGE",
    "tablespace": "CREATE ON TABLESPACE",
    "foreign server": "USAGE ON FOREIGN SERVER",
}


def _rights(doing: str, said: str, connect: Connect | None) -> UsageError:
    """Name the right that is missing and the statement that gives it."""
    role = "migrator's role"
    lacking = "SELECT, INSERT, UPDATE, DELETE"
    found = _DENIED.search(said)
    if connect is not None:
        with suppress(psycopg.Error, MigratorError), connect() as conn:
            role = quote(str(_first(conn, "SELECT current_user")))
            if found and found["kind"] in {"table", "view", "relation", "materialized view"}:
                lacking = _missing_rights(conn, found["name"]) or lacking
    if hides := _HIDES.search(said):
        return UsageError(
            "M311",
            f"While {doing}: row security on table {hides['name']} would hide rows from {role}.",
            f"ALTER ROLE {role} BYPASSRLS, or connect as the owner of the table (without FORCE ROW LEVEL SECURITY):"
            " rows that cannot be seen cannot be accounted for.",
        )
    if found:
        grant = _GRANTS.get(found["kind"], f"{lacking} ON TABLE")
        cure = f"GRANT {grant} {quote(found['name'])} TO {role}; then run the same command again."
    elif owner := _OWNER.search(said):
        cure = f"Connect as the owner of {owner['kind']} {owner['name']}, or GRANT the owner's role to {role}."
    else:
        cure = f"Give {role} the right that the message names, or connect as a role that has it."
    return UsageError("M306", f"While {doing}: {said}.", cure)


def _first(conn: Connection, sql: str) -> object:
    found = conn.execute(sql.encode()).fetchone()
    return found[0] if found else None


def _missing_rights(conn: Connection, name: str) -> str:
    """List what a role may not do with the tables of that name; a message names no schema."""
    rights = ("SELECT", "INSERT", "UPDATE", "DELETE")
    lacking = [
        one
        for one in rights
        if _first(
            conn,
            "SELECT true FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND"
            f" relname = {literal(name)} AND NOT pg_catalog.has_table_privilege(oid, '{one}')"
            " LIMIT 1",
        )
    ]
    return ", ".join(lacking)


def _other(doing: str, said: str, state: str, exc: BaseException) -> MigratorError:
    about = f" on {exc.diag.table_name}" if isinstance(exc, psycopg.Error) and exc.diag.table_name else ""
    by = (
        f", constraint {exc.diag.constraint_name}"
        if isinstance(exc, psycopg.Error) and exc.diag.constraint_name
        else ""
    )
    extra = f" {detail(exc)}" if detail(exc) else ""
    make = UsageError if kind(exc) is Failure.DEFINITION else WorldError
    cure = "Mend the definition or the table that the message names, and run the same command again."
    if not state:
        cure = "Please report it: the server gave no SQLSTATE."
    return make("M312", f"While {doing}: {said}{about}{by} (SQLSTATE {state or 'none'}).{extra}", cure)
