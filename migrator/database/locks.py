"""Locks that are not got: who stands in the way, and how often it is tried again."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.explaining import explained
from migrator.database.failures import Failure
from migrator.database.session import rows
from migrator.model.errors import MigratorError, WorldError
from migrator.model.names import Relation, literal, text_array

Result = TypeVar("Result")

FIRST_PAUSE = 0.05  # seconds; doubled at every try
LONGEST_PAUSE = 5.0
SHOWN_QUERY = 120  # characters
SHOWN_BLOCKERS = 3

_MODES = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
# For each mode, the weakest modes with which it conflicts: from there upwards, with one gap (SHARE
# and itself).
_CONFLICTS: dict[str, tuple[str, ...]] = {
    "AccessShareLock": _MODES[7:],
    "RowShareLock": _MODES[6:],
    "RowExclusiveLock": _MODES[4:],
    "ShareUpdateExclusiveLock": _MODES[3:],
    "ShareLock": (_MODES[2], _MODES[3], *_MODES[5:]),
    "ShareRowExclusiveLock": _MODES[2:],
    "ExclusiveLock": _MODES[1:],
    "AccessExclusiveLock": _MODES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """Who holds or awaits a conflicting lock: a session, or without a pid, what was prepared."""

    pid: int | None
    user: str
    application_name: str
    state: str
    age_seconds: float
    mode: str
    granted: bool
    query: str

    def __str__(self) -> str:
        """Say who it is in one line."""
        who = f"pid {self.pid}" if self.pid else "a prepared transaction"
        by = f" of {self.user}" + (f" ({self.application_name})" if self.application_name else "")
        state, query = self.state or "in a state not shown", self.query or "no query shown"
        return f"{who}{by}, {state} for {self.age_seconds:.0f} s: {query}"


def blockers(conn: Connection, relation: Relation, *, mode: str = "AccessExclusiveLock") -> list[Blocker]:
    """List who holds or awaits a lock on the relation in conflict with `mode`, oldest first."""
    found = rows(
        conn,
        f"""
        SELECT l.pid, coalesce(a.usename, p.owner)::text, coalesce(a.application_name, ''),
            CASE WHEN p.gid IS NOT NULL THEN 'prepared as ' || p.gid
                 WHEN a.backend_type <> 'client backend' THEN a.backend_type ELSE coalesce(a.state,
                     '') END,
            coalesce(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)),
                0)::float8,
            l.mode, l.granted, coalesce(a.query, '')
        FROM pg_catalog.pg_locks l
        JOIN pg_catalog.pg_class c ON c.oid = l.relation
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
        LEFT JOIN pg_catalog.pg_locks x ON l.pid IS NULL AND x.pid IS NULL
            AND x.locktype = 'transactionid' AND x.virtualtransaction = l.virtualtransaction
        LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid
        WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_catalog.pg_database
            WHERE datname = pg_catalog.current_database())
          AND n.nspname = {literal(relation.schema)} AND c.relname = {literal(relation.name)}
          AND l.mode = ANY ({text_array(_CONFLICTS[mode])}) AND l.pid IS DISTINCT FROM
              pg_catalog.pg_backend_pid()
        ORDER BY l.granted DESC, 5 DESC""",
    )
    return [_blocker(*one) for one in found]


def _blocker(
    pid: int | None,
    user: str | None,
    name: str,
    state: str,
    age: float,
    mode: str,
    granted: bool,
    query: str,
) -> Blocker:
    return Blocker(
        pid=pid,
        user=user or "unknown",
        application_name=name,
        state=state,
        age_seconds=age,
        mode=mode,
        granted=granted,
        query=shortened(query),
    )


_LITERAL = re.compile(r"[eE]?'(?:[^']|'')*'?|\$(\w*)\$.*?(?:\$\1\$|$)", re.DOTALL)


def shortened(query: str) -> str:
    """Show a query in one short line with its string constants hidden."""
    line = " ".join(_LITERAL.sub("'…'", query).split())
    line = failures.masked_text(line)
    return line if len(line) <= SHOWN_QUERY else line[: SHOWN_QUERY - 1] + "…"


def with_lock_retries(
    fn: Callable[[], Result],
    *,
    doing: str,
    tries: int = 20,
    relations: Sequence[Relation] = (),
    connect: Callable[[], Connection] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Result:
    """Call `fn`, a whole transaction, until no lock is in its way; after the last try raise M301.

    It names who was in the way, looked for by a connection of `connect`. Every other error passes
    through as it is.
    """
    for attempt in range(1, tries + 1):
        try:
            return fn()
        except psycopg.Error as error:
            if failures.kind(error) is not Failure.RETRY:
                raise
            if attempt == tries:
                raise _refused(error, doing, tries, _who(connect, relations)) from error
        pause(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 10)) * random.uniform(0.5, 1.0))  # noqa: S311 jitter
    raise ValueError("tries must be at least 1")


@contextmanager
def reading_explained(doing: str, connect: Callable[[], Connection], relations: Sequence[Relation]) -> Iterator[None]:
    """Turn the errors of the block into ours, as `explained` does; name who keeps it from reading the relations."""
    with explained(doing, connect):
        try:
            yield
        except psycopg.Error as error:
            if failures.sqlstate(error) != "55P03":
                raise
            raise _refused(error, doing, 1, _who(connect, relations, mode="AccessShareLock")) from error


def _who(
    connect: Callable[[], Connection] | None, relations: Sequence[Relation], *, mode: str = "AccessExclusiveLock"
) -> list[Blocker]:
    """Look for the blockers; that they cannot be named must not hide that there were some."""
    if connect is None:
        return []
    try:
        with connect() as conn:
            return [one for relation in relations for one in blockers(conn, relation, mode=mode)]
    except (psycopg.Error, MigratorError):
        return []


def _refused(error: psycopg.Error, doing: str, tries: int, who: list[Blocker]) -> WorldError:
    reason = "a lock was not got" if failures.sqlstate(error) == "55P03" else failures.message(error)
    named = "; ".join(map(str, who[:SHOWN_BLOCKERS]))
    more = f" and {len(who) - SHOWN_BLOCKERS} more" if len(who) > SHOWN_BLOCKERS else ""
    blocking = f" In the way: {named}{more}." if who else ""
    times = "once" if tries == 1 else f"{tries} times"
    return WorldError(
        "M301",
        f"While {doing}: {reason}, tried {times}.{blocking}",
        "Wait for these transactions to end or end them (pg_terminate_backend), and run the same command again.",
    )
