"""Transactions with every setting pinned, and the few ways in which SQL text is executed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import psycopg
from psycopg.pq import TransactionStatus

from migrator.database import proof
from migrator.database.connect import Connection
from migrator.model.errors import BugError, UsageError
from migrator.model.names import literal

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any] | None
Isolation = Literal["read committed", "repeatable read", "serializable"]

# What the text of a value, the meaning of a statement or the rows it sees depend on.
PINS: Mapping[str, str] = {
    "TimeZone": "UTC",
    "timezone_abbreviations": "Default",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "row_security": "off",
}


# Before PostgreSQL 16 nothing tests a text for a type. Where the Ledger has no function for it yet, a transaction that
# only reads makes one of its own before it becomes READ ONLY, and rolls it back; without the right to, it does without.
# A name in a schema that a role may not use is an error to look up, hence the CASE.
LEDGER_TESTS_INPUT = (
    "CASE WHEN has_schema_privilege(to_regnamespace('migrator'), 'USAGE')"
    " THEN to_regprocedure('migrator.is_valid_input(text,text)') IS NOT NULL ELSE false END"
)
INPUT_CHECK = "pg_temp.migrator_is_valid_input"
_FIRST_WITH_INPUT_CHECK = 16_00_00
_ENDS = {14_00_00: "idle_in_transaction_session_timeout", 17_00_00: "transaction_timeout"}  # what ends one, since when
_MAKE_INPUT_CHECK = f"""
DO $make$ BEGIN
    IF (SELECT NOT {LEDGER_TESTS_INPUT}) THEN
        EXECUTE $function$ CREATE FUNCTION {INPUT_CHECK}(value text, type text) RETURNS boolean
            LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $body$
            BEGIN EXECUTE format('SELECT $1::%s', type) USING value; RETURN true;
            EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN RETURN false; END $body$ $function$;
    END IF;
EXCEPTION WHEN OTHERS THEN NULL;
END $make$; SET TRANSACTION READ ONLY"""


@contextmanager
def transaction(
    conn: Connection,
    *,
    read_only: bool = False,
    isolation: Isolation = "read committed",
    search_path: str = "public",
    lock_timeout_ms: int = 2_000,
    statement_timeout_ms: int = 0,
    applying: str = "",
    work_mem: str | None = None,
    endless: bool = False,
    reconnect: Callable[[], Connection] | None = None,
) -> Iterator[Connection]:
    """Run the block in one transaction under our settings, which end with it; then COMMIT.

    One that is `endless` may do nothing for as long as it likes, while it waits for another server.
    With `reconnect`, the server is asked about a COMMIT whose answer is lost: the block counts as
    done, though its connection is gone, or the loss is raised (M307).
    Raises the errors of psycopg as they are, but for a write in a READ ONLY transaction (M308).
    """
    if conn.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR}:
        raise BugError("M319", "A transaction was begun inside another one.", "Please report it.")
    settings = settings_with(
        search_path=search_path,
        lock_timeout_ms=lock_timeout_ms,
        statement_timeout_ms=statement_timeout_ms,
        **{"migrator.applying": applying},
        **({"work_mem": work_mem} if work_mem else {}),
        **({name: "0" for since, name in _ENDS.items() if conn.info.server_version >= since} if endless else {}),
    )
    try:
        xid = _begin(conn, read_only, isolation, settings, ask_xid=reconnect is not None)
        yield conn
        _commit(conn, xid, reconnect, discard=read_only and _makes_input_check(conn))
    except psycopg.errors.ReadOnlySqlTransaction as error:
        roll_back(conn, error)
        if not read_only:
            raise
        raise _wrote(error) from error
    except BaseException as error:
        roll_back(conn, error)
        raise


def settings_with(
    *, search_path: str, lock_timeout_ms: int, statement_timeout_ms: int = 0, **others: str
) -> dict[str, str]:
    """List all settings of a transaction: the fixed ones, and those of its own."""
    return {
        **PINS,
        "search_path": _temporary_last(search_path),
        "lock_timeout": f"{lock_timeout_ms}ms",
        "statement_timeout": f"{statement_timeout_ms}ms",
        **others,
    }


def pins(settings: Mapping[str, str]) -> str:
    """Write the one statement that sets all of these until the end of the transaction."""
    calls = (f"pg_catalog.set_config({literal(name)}, {literal(value)}, true)" for name, value in settings.items())
    return f"SELECT {', '.join(calls)}"


def begin(conn: Connection, settings: Mapping[str, str]) -> str:
    """Begin a transaction that writes, under these settings alone, and give its id; whoever calls ends it."""
    return str(_begin(conn, read_only=False, isolation="read committed", settings=settings, ask_xid=True))


def roll_back(conn: Connection, error: BaseException) -> None:
    """Roll back after an error; what goes wrong then is noted on it and never replaces it."""
    if conn.closed or conn.info.transaction_status == TransactionStatus.IDLE:
        return
    try:
        conn.execute("ROLLBACK")
    except psycopg.Error as second:
        error.add_note(f"The transaction could not be rolled back either: {second}")


def rows(conn: Connection, sql: str, params: Parameters = None) -> list[Row]:
    """Execute and fetch all; without `params` the text is sent as it is, and % means nothing."""
    return conn.execute(text(sql), params).fetchall()


def one(conn: Connection, sql: str, params: Parameters = None) -> Row | None:
    """Execute and fetch the first row, if there is one."""
    return conn.execute(text(sql), params).fetchone()


def value(conn: Connection, sql: str, params: Parameters = None) -> Any:
    """Execute and fetch the first value of the first row; None where there is no row."""
    first = one(conn, sql, params)
    return first[0] if first else None


def execute(conn: Connection, sql: str, params: Parameters = None) -> int:
    """Execute and say how many rows were touched."""
    return conn.execute(text(sql), params).rowcount


def results(conn: Connection, sql: str) -> list[list[Row]]:
    """Execute several statements in one message and fetch the rows of each."""
    cursor = conn.execute(text(sql))
    found = [cursor.fetchall() if cursor.description else []]
    while cursor.nextset():
        found.append(cursor.fetchall() if cursor.description else [])
    return found


def text(sql: str) -> bytes:
    """Make SQL ready to be sent; a NUL would silently cut the statement off where it stands."""
    if "\0" in sql:
        raise UsageError("M314", "An SQL text holds a NUL character.", "Take it out of the definition.")
    return sql.encode()


def _temporary_last(search_path: str) -> str:
    """Look up temporary tables last: behind a pooler they may be those of another client."""
    names = [one.strip().strip('"') for one in search_path.split(",")]
    return search_path if "pg_temp" in names or not search_path.strip() else f"{search_path}, pg_temp"


def _begin(
    conn: Connection,
    read_only: bool,
    isolation: Isolation,
    settings: Mapping[str, str],
    *,
    ask_xid: bool,
) -> str | None:
    # READ WRITE is never asked for: a server or role that is read-only by default is so for a
    # reason.
    makes = read_only and _makes_input_check(conn)
    mode = ", READ ONLY" if read_only and not makes else ""
    tail = ", pg_catalog.pg_current_xact_id()::text" if ask_xid else ""
    message = f"BEGIN ISOLATION LEVEL {isolation.upper()}{mode}; {pins(settings)}{tail}"
    found = results(conn, message)
    if makes:
        execute(conn, _MAKE_INPUT_CHECK)
    return str(found[-1][0][-1]) if ask_xid else None


def _makes_input_check(conn: Connection) -> bool:
    return conn.info.server_version < _FIRST_WITH_INPUT_CHECK


def _commit(
    conn: Connection, xid: str | None, reconnect: Callable[[], Connection] | None, *, discard: bool = False
) -> None:
    if conn.info.transaction_status == TransactionStatus.IDLE:
        raise BugError(
            "M319",
            "A statement ended the transaction it ran in.",
            "Take COMMIT and ROLLBACK out of the SQL.",
        )
    if discard and conn.info.transaction_status == TransactionStatus.INTRANS:
        conn.execute("ROLLBACK")  # nothing was written, but for a function of the transaction's own
        return
    try:
        status = conn.execute("COMMIT").statusmessage
    except psycopg.OperationalError as lost:
        if xid is None or reconnect is None or not conn.closed:
            raise
        proof.committed_or_raise(xid, reconnect, lost)
        return
    if status != "COMMIT":  # the server answers ROLLBACK, without an error, after one that was swallowed
        raise BugError(
            "M319",
            "The transaction had failed before its COMMIT, and nobody said so.",
            "Please report it.",
        )


def _wrote(error: psycopg.Error) -> UsageError:
    return UsageError(
        "M308",
        f"Something tried to write in a transaction that only reads: {error.diag.message_primary}.",
        "A definition, a view or a function it calls changes data (a sequence counts); take that out of it.",
    )
