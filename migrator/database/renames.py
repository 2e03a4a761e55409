"""What bears a table's name besides the table: constraints, indexes, triggers, owned sequences, extended statistics.

Renaming a table renames nothing else. Their names stay taken, so that a new table under the old name would get keys
called `jobs_pkey1`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from migrator.database import catalog
from migrator.database.connect import Connection
from migrator.model.names import Relation, literal, quote

LONGEST = 63  # bytes of a name
PREFIX = "_archived_"
WATCH = "'migrator.watch_write()'"  # of whose triggers nothing is renamed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """One object with its old and its new name; `schema` is its own, `table` that of constraints and triggers."""

    kind: str  # constraint, index, trigger, sequence, statistics
    schema: str
    old: str
    new: str

    def sql(self, table: Relation, *, back: bool = False) -> str:
        """Write the statement; `table` is what the table is called at that moment."""
        before, after = (self.new, self.old) if back else (self.old, self.new)
        match self.kind:
            case "constraint":
                return f"ALTER TABLE {table.sql} RENAME CONSTRAINT {quote(before)} TO {quote(after)}"
            case "trigger":
                return f"ALTER TRIGGER {quote(before)} ON {table.sql} RENAME TO {quote(after)}"
            case _:
                name = Relation(self.schema, before).sql
                return f"ALTER {self.kind.upper()} {name} RENAME TO {quote(after)}"

    def facts(self) -> dict[str, Any]:
        """Give what the Ledger keeps."""
        return asdict(self)


_OBJECTS = """
SELECT 'constraint', n.nspname, o.conname FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace
    WHERE o.conrelid = {oid} AND o.contype IN ('c', 'p', 'u', 'x', 'f', 'n') AND o.conparentid = 0
UNION ALL SELECT 'index', n.nspname, x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = x.relnamespace WHERE i.indrelid = {oid} AND NOT EXISTS (SELECT FROM pg_constraint o
        WHERE o.conindid = i.indexrelid AND o.conrelid = {oid} AND o.contype IN ('p', 'u', 'x'))
UNION ALL SELECT 'trigger', '', g.tgname FROM pg_trigger g
    WHERE g.tgrelid = {oid} AND NOT g.tgisinternal AND g.tgfoid IS DISTINCT FROM to_regprocedure({watch})
UNION ALL SELECT 'sequence', n.nspname, c.relname FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE d.classid = 'pg_class'::regclass AND c.relkind = 'S'
      AND d.refclassid = 'pg_class'::regclass AND d.refobjid = {oid} AND d.deptype IN ('a', 'i')
UNION ALL SELECT 'statistics', n.nspname, s.stxname FROM pg_statistic_ext s
    JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid = {oid}
ORDER BY 1, 2, 3"""

# One pool of names for all kinds: a name that is used by none of them is free for each of them.
_TAKEN = """
SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema}
UNION SELECT conname FROM pg_constraint o JOIN pg_namespace n ON n.oid = o.connamespace WHERE n.nspname = {schema}
UNION SELECT stxname FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE n.nspname = {schema}
UNION SELECT tgname FROM pg_trigger WHERE tgrelid = {oid}
UNION SELECT typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = {schema}"""


def of_table(conn: Connection, table: Relation, oid: int, later: str) -> tuple[Rename, ...]:
    """List what is renamed together with a table that is called `later` afterwards."""
    objects, taken = catalog.ask(
        conn,
        _OBJECTS.format(oid=oid, watch=WATCH),
        _TAKEN.format(oid=oid, schema=literal(table.schema)),
    )
    used = {str(name) for (name,) in taken} | {later}
    found = []
    for kind, schema, old in objects:
        new = new_name(old, table.name, later, used)
        used.add(new)
        found.append(Rename(kind=kind, schema=schema, old=old, new=new))
    return tuple(found)


def new_name(old: str, table: str, later: str, used: Collection[str]) -> str:
    """Put the later name of the table into a name, or a prefix before it: a free name that fits."""
    wanted = old.replace(table, later) if table in old else PREFIX + old
    if len(wanted.encode()) <= LONGEST and wanted not in used:
        return wanted
    for attempt in range(len(used) + 1):
        mark = hashlib.sha256(f"{old} {attempt}".encode()).hexdigest()[:8]
        cut = wanted.encode()[: LONGEST - len(mark) - 1].decode(errors="ignore")
        if f"{cut}_{mark}" not in used:
            return f"{cut}_{mark}"
    raise ValueError("more names are used than there are")


def who_has(conn: Connection, relation: Relation) -> str | None:
    """Say what has a relation's name now: a relation or a type; None where the name is free."""
    found = catalog.ask_one(
        conn,
        "SELECT CASE c.relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'i' THEN 'an index'"
        " WHEN 'S' THEN 'a sequence' WHEN 'f' THEN 'a foreign table' WHEN 'c' THEN 'a type' WHEN 'I' THEN 'an index'"
        " ELSE 'a table' END FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE n.nspname = {literal(relation.schema)} AND c.relname = {literal(relation.name)}"
        " UNION ALL SELECT 'a type' FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
        f" WHERE n.nspname = {literal(relation.schema)} AND t.typname = {literal(relation.name)} AND t.typelem = 0"
        " LIMIT 1",
    )
    return str(found[0][0]) if found else None


def there_now(conn: Connection, oid: int, renames: Iterable[Rename]) -> tuple[Rename, ...]:
    """Leave out what was dropped or renamed by hand since."""
    found = catalog.ask_one(conn, _OBJECTS.format(oid=oid, watch=WATCH))
    known = {(kind, name) for kind, _, name in found}
    return tuple(one for one in renames if (one.kind, one.new) in known)


def in_the_way(conn: Connection, table: Relation, renames: Iterable[Rename]) -> tuple[str, ...]:
    """List the old names that somebody took meanwhile: of indexes, sequences and statistics."""
    wanted = [one for one in renames if one.kind != "trigger"]
    taken = "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema}"
    statistics = "SELECT stxname FROM pg_statistic_ext WHERE stxnamespace = to_regnamespace({schema})"
    here: Mapping[str, str] = {"schema": literal(table.schema)}
    relations, others = catalog.ask(conn, taken.format(**here), statistics.format(**here))
    names = {str(name) for (name,) in relations}
    known = {str(name) for (name,) in others}
    return tuple(one.old for one in wanted if one.old in (known if one.kind == "statistics" else names))
