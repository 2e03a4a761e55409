"""What a failed statement means for us, and how to say it: kinds to decide by, errors to show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import TypeAlias

import psycopg

from migrator.database.connect import Connection
from migrator.model.errors import MigratorError, UsageError, WorldError
from migrator.model.names import literal, quote

SqlError: TypeAlias = psycopg.Error
"""What other rooms catch, without knowing the driver."""

Connect: TypeAlias = Callable[[], Connection]


class Failure(Enum):
    """What is to be done about a failed statement."""

    ROW = "row"  # a row is at fault: split the batch, quarantine the row
    RETRY = "retry"  # somebody else was in the way: try again
    RIGHTS = "rights"
    READ_ONLY = "read only"
    LOST = "lost"  # the connection is gone
    DEFINITION = "definition"  # the statement itself is wrong
    WORLD = "world"  # disk, memory, timeouts, and whatever else is not ours


_RETRY = frozenset({"40001", "40P01", "55P03"})
# 54001 is a value nested too deep; 44000 and 21000 are a view and a subquery that refuse a row.
_ROW = frozenset({"54000", "54001", "21000", "44000"})
_LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"})
_EXACT = {
    **dict.fromkeys(_RETRY, Failure.RETRY),
    **dict.fromkeys(_ROW, Failure.ROW),
    **dict.fromkeys(_LOST, Failure.LOST),
    "42501": Failure.RIGHTS,
    "25006": Failure.READ_ONLY,
}
_BY_CLASS = {
    "08": Failure.LOST,
    **dict.fromkeys(("09", "20", "22", "23", "27", "2F", "38", "P0"), Failure.ROW),
    "0A": Failure.DEFINITION,
    "3F": Failure.DEFINITION,
    "42": Failure.DEFINITION,
}
# Every class PostgreSQL itself gives out. A state of any other class was raised by somebody's code, about a row.
_CLASSES = frozenset(
    [
        "00",
        "01",
        "02",
        "03",
        "08",
        "09",
        "0A",
        "0B",
        "0F",
        "0L",
        "0P",
        "0Z",
        "10",
        "20",
        "21",
        "22",
        "23",
        "24",
        "25",
        "26",
        "27",
        "28",
        "2B",
        "2D",
        "2F",
        "34",
        "38",
        "39",
        "3B",
        "3D",
        "3F",
        "40",
        "42",
        "44",
        "53",
        "54",
        "55",
        "57",
        "58",
        "72",
        "F0",
        "HV",
        "P0",
        "XX",
    ]
)


def kind(exc: BaseException) -> Failure:
    """Decide by the SQLSTATE what an error means."""
    if not isinstance(exc, psycopg.Error):
        return Failure.WORLD
    state = exc.sqlstate
    if state is None:
        # Without a state the server never answered; but a value that Python cannot hold is no lost
        # connection.
        gone = isinstance(exc, (psycopg.OperationalError, psycopg.InterfaceError))
        return Failure.LOST if gone else Failure.WORLD
    others = Failure.WORLD if state[:2] in _CLASSES else Failure.ROW
    return _EXACT.get(state) or _BY_CLASS.get(state[:2], others)


def about_a_row(state: str) -> str:
    """Write in SQL what `kind` decides: whether an SQLSTATE is about a row. `state` is SQL for the SQLSTATE."""
    exact = ", ".join(literal(one) for one in sorted(_ROW))
    others = ", ".join(literal(one) for one in sorted(_CLASSES) if _BY_CLASS.get(one) is not Failure.ROW)
    return f"{state} IN ({exact}) OR pg_catalog.left({state}, 2) NOT IN ({others})"


def sqlstate(exc: BaseException) -> str:
    """Give the SQLSTATE of an error; empty where the server did not give one."""
    return (exc.sqlstate or "") if isinstance(exc, psycopg.Error) else ""


def constraint(exc: BaseException) -> str:
    """Name the constraint, or else the column, that an error is about; empty where none."""
    if not isinstance(exc, psycopg.Error):
        return ""
    return exc.diag.constraint_name or exc.diag.column_name or ""


def message(exc: BaseException) -> str:
    """Give the one sentence of an error, with the values in it hidden."""
    if not isinstance(exc, psycopg.Error):
        return masked_text(str(exc))
    said = exc.diag.message_primary or str(exc).strip().partition("\n")[0] or type(exc).__name__
    return masked_text(said)


def detail(exc: BaseException) -> str:
    """Give the DETAIL of an error with the values of rows hidden; empty where there is none."""
    said = exc.diag.message_detail if isinstance(exc, psycopg.Error) else None
    return masked_text(said or "")


_IN_BRACKETS = re.compile(r"=\((?:[^()]|\([^()]*\))*\)|(?<=contains )\(.*\)", re.DOTALL)
_QUOTED_VALUE = re.compile(r'(?<=: )".*"$', re.DOTALL)
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")


def masked_text(said: str) -> str:
    """Hide the values that PostgreSQL puts into its messages, and all e-mail addresses."""
    hidden = _IN_BRACKETS.sub(lambda found: "=(…)" if found[0].startswith("=") else "(…)", said)
    return _EMAIL.sub("…@…", _QUOTED_VALUE.sub('"…"', hidden))


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
        "Where a statement_timeout did it, allow a longer one; where a person did, ask why; then"
        " run the same"
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
            f"ALTER ROLE {role} BYPASSRLS, or connect as the owner of the table (without FORCE"
            " ROW LEVEL SECURITY):"
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
