"""The watch: triggers that record every write to a table from an instant on, where counters would lag by seconds.

Laying it waits for writers in flight, so that whoever looks afterwards sees what they wrote, and what is written later
is in the Ledger. It stands on the table and on everything that inherits from it, because a trigger for each statement
fires only for the table that the statement names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from migrator.database import catalog
from migrator.database.connect import Connection
from migrator.database.session import rows
from migrator.model.names import Relation, literal, quote

WRITES: Final = "migrator_watch"
TRUNCATES: Final = "migrator_watch_truncate"
SEEN: Final = "MGR01"  # the SQLSTATE by which the last message says that something was written


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A table, or one that inherits from it: a partition at whatever depth."""

    oid: int
    relation: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Statements of one role that wrote to one table while it was watched."""

    table: str
    statements: int
    role: str
    first: datetime
    last: datetime

    def __str__(self) -> str:
        """Say it in one line."""
        times = f"{self.statements:,} statement{'' if self.statements == 1 else 's'}"
        return f"{self.table}: {times} of {self.role}, the last at {self.last:%Y-%m-%d %H:%M:%S %Z}"


def members(conn: Connection, relations: Iterable[Relation]) -> tuple[Member, ...]:
    """List the tables with all that inherits from them, the given ones first."""
    found = catalog.ask_one(
        conn,
        f"SELECT c.oid::int8, n.nspname, c.relname FROM ({_tree(relations)}) t JOIN pg_class c ON c.oid = t.oid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY t.depth, 2, 3",
    )
    return tuple(Member(oid=oid, relation=Relation(schema, name)) for oid, schema, name in found)


def laid(tables: Sequence[Member]) -> list[str]:
    """Write the statements that lay the watch anew; what an earlier one saw is forgotten."""
    statements = [*taken_off(tables)]
    for one in tables:
        on = one.relation.sql
        events = ((WRITES, "INSERT OR UPDATE OR DELETE"), (TRUNCATES, "TRUNCATE"))
        for name, event in events:
            statements += [
                f"CREATE TRIGGER {quote(name)} AFTER {event} ON {on}"
                " FOR EACH STATEMENT EXECUTE FUNCTION migrator.watch_write()",
                f"ALTER TABLE {on} ENABLE ALWAYS TRIGGER {quote(name)}",
            ]
    return statements


def taken_off(tables: Sequence[Member]) -> list[str]:
    """Write the statements that take the watch off, wherever it stands, and forget what it saw."""
    off = [
        f"DROP TRIGGER IF EXISTS {quote(name)} ON {one.relation.sql}" for one in tables for name in (WRITES, TRUNCATES)
    ]
    return [*off, f"DELETE FROM migrator.watched_write WHERE relation IN ({_oids(tables)})"]


def nothing_seen(tables: Sequence[Member]) -> str:
    """Write the statement that raises where the watch saw something, or does not stand on every table any more."""
    roots = ", ".join(str(one.oid) for one in tables)
    whole = f"SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid IN ({roots}) AND tgenabled = 'A'"
    whole += f" AND tgname IN ({literal(WRITES)}, {literal(TRUNCATES)})"
    return (
        f"IF EXISTS (SELECT FROM migrator.watched_write WHERE relation IN ({_oids(tables)}))"
        f" THEN RAISE EXCEPTION 'the watch saw writes' USING ERRCODE = '{SEEN}'; END IF;\n"
        f"IF ({whole}) <> {2 * len(tables)}"
        f" THEN RAISE EXCEPTION 'the watch was tampered with' USING ERRCODE = '{SEEN}'; END IF"
    )


def seen(conn: Connection, tables: Sequence[Member]) -> tuple[Seen, ...]:
    """Say what was written while the tables were watched: by whom, how often, and when."""
    names = {one.oid: str(one.relation) for one in tables}
    found = rows(
        conn,
        "SELECT relation::int8, role, count(*), min(at), max(at) FROM migrator.watched_write"
        f" WHERE relation IN ({_oids(tables)}) GROUP BY 1, 2 ORDER BY 5",
    )
    return tuple(
        Seen(table=names[oid], role=role, statements=number, first=first, last=last)
        for oid, role, number, first, last in found
    )


def _tree(relations: Iterable[Relation]) -> str:
    named = ", ".join(f"({literal(one.schema)}, {literal(one.name)})" for one in relations)
    return (
        "WITH RECURSIVE tree(oid, depth) AS (SELECT c.oid, 0 FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind IN ('r', 'p') AND (n.nspname, c.relname) IN ({named})"
        " UNION SELECT i.inhrelid, tree.depth + 1 FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid)"
        " SELECT oid, min(depth) AS depth FROM tree GROUP BY oid"
    )


def _oids(tables: Sequence[Member]) -> str:
    return ", ".join(str(one.oid) for one in tables) or "NULL"
