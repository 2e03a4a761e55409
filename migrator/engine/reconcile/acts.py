"""Acts that make keys, checks, foreign keys and indexes without stopping readers and writers, where that can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from migrator.engine.reconcile.columns import BRIEF
from migrator.engine.reconcile.foreign_keys import FOREIGN_KEYS, VALIDATING
from migrator.model.adoption import Act, Rows
from migrator.model.anatomy import Anatomy, Part
from migrator.model.names import Relation, columns, quote
from migrator.model.step import Hazard

KEYS, CHECKS, INDEXES = 50, 60, 80
NO_WAIT_FOR_WRITERS = "SHARE UPDATE EXCLUSIVE on {}; waits for transactions older than itself"


def finished(found: Anatomy, mine: Part, theirs: Part) -> Iterator[Act]:
    """Finish what is there and NOT VALID: let the server read the rows, or build an index anew."""
    at, name = found.relation.sql, quote(theirs.name)
    said = f"{theirs.kind} {theirs.name} is NOT VALID"
    if mine.kind != "index":
        yield Act(
            difference=said,
            do=(f"ALTER TABLE {at} VALIDATE CONSTRAINT {name}",),
            undo=(f"ALTER TABLE {at} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {theirs.content} NOT VALID",),
            relation=found.relation,
            stage=CHECKS if mine.kind == "check" else FOREIGN_KEYS,
            lock=VALIDATING.format(found.relation),
            first=broken(found, mine),
        )
        return
    index = Relation(found.relation.schema, theirs.name).sql
    yield Act(
        difference=f"{said}: its build failed; undo does not bring that back",
        do=(f"DROP INDEX CONCURRENTLY IF EXISTS {index}",),
        relation=found.relation,
        stage=INDEXES,
        lock=NO_WAIT_FOR_WRITERS.format(found.relation),
        concurrent=True,
    )
    yield index_made(found, mine, name=theirs.name)


def key_made(found: Anatomy, one: Part) -> Iterator[Act]:
    """Build a unique index beside everybody, then make it the key."""
    if found.kind == "p":
        yield _key_at_once(found, one)
        return
    said, at, name = _key_is_missing(one), found.relation.sql, quote(one.name)
    index = Relation(found.relation.schema, one.name)
    _, _, content = one.content.partition(" (")
    fields, _, _ = content.partition(" DEFERRABLE")
    nulls = " NULLS NOT DISTINCT" if "NULLS NOT DISTINCT" in one.content else ""
    yield Act(
        difference=said,
        do=(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {at} ({fields}{nulls}",),
        undo=(f"DROP INDEX CONCURRENTLY IF EXISTS {index.sql}",),
        relation=found.relation,
        stage=KEYS,
        lock=NO_WAIT_FOR_WRITERS.format(found.relation),
        concurrent=True,
        index=index.sql,
        makes=index,
        first=broken(found, one),
    )
    kind = "PRIMARY KEY" if one.kind == "primary key" else "UNIQUE"
    _, deferrable, how = one.content.partition(" DEFERRABLE")
    yield Act(
        difference=said,
        do=(f"ALTER TABLE {at} ADD CONSTRAINT {name} {kind} USING INDEX {name}{deferrable}{how}",),
        undo=(f"ALTER TABLE {at} DROP CONSTRAINT IF EXISTS {name}",),
        relation=found.relation,
        stage=KEYS,
        lock=BRIEF.format(found.relation),
    )


def _key_at_once(found: Anatomy, one: Part) -> Act:
    return Act(
        difference=_key_is_missing(one),
        do=(one.create,),
        undo=(f"ALTER TABLE {found.relation.sql} DROP CONSTRAINT IF EXISTS {quote(one.name)}",),
        relation=found.relation,
        stage=KEYS,
        lock=f"ACCESS EXCLUSIVE on {found.relation}",
        first=broken(found, one),
        hazard=_not_concurrent(found, one),
    )


def _key_is_missing(one: Part) -> str:
    return f"{one.kind} ({', '.join(one.columns)}) is missing"


def validated(found: Anatomy, one: Part, stage: int, other: Part | None = None) -> Iterator[Act]:
    """Add a constraint NOT VALID, then let the server read the rows; one of that name goes on under its own."""
    at, shown = found.relation.sql, f"{one.kind} {one.content} is missing"
    name = quote(one.name if other is None else f"{one.name[:50]}_declared")
    both = f"SHARE ROW EXCLUSIVE on {found.relation} and {one.references}" if one.references else ""
    yield Act(
        difference=shown,
        do=(f"ALTER TABLE {at} ADD CONSTRAINT {name} {one.content} NOT VALID",),
        undo=(f"ALTER TABLE {at} DROP CONSTRAINT IF EXISTS {name}",),
        relation=found.relation,
        stage=stage,
        lock=f"{both}, for an instant" if both else BRIEF.format(found.relation),
        first=broken(found, one),
    )
    yield Act(
        difference=shown,
        do=(f"ALTER TABLE {at} VALIDATE CONSTRAINT {name}",),
        relation=found.relation,
        stage=stage,
        lock=VALIDATING.format(found.relation) + (f" and ROW SHARE on {one.references}" if one.references else ""),
    )


def at_once(found: Anatomy, one: Part) -> Act:
    """Add a foreign key to a partitioned table of a server that cannot take it NOT VALID."""
    at, ends = found.relation.sql, f"{found.relation} and {one.references}"
    return Act(
        difference=f"{one.kind} {one.content} is missing",
        do=(one.create,),
        undo=(f"ALTER TABLE {at} DROP CONSTRAINT IF EXISTS {quote(one.name)}",),
        relation=found.relation,
        stage=FOREIGN_KEYS,
        lock=f"SHARE ROW EXCLUSIVE on {ends}",
        first=broken(found, one),
        hazard=Hazard(
            id="H115",
            what=f"{one.name}: a partitioned table takes no foreign key NOT VALID before PostgreSQL 18,"
            f" so writers of {ends} wait while all its rows are checked",
            cure="choose an hour in which nobody writes, or add it yourself partition by partition",
        ),
    )


def index_made(found: Anatomy, one: Part, name: str | None = None) -> Act:
    """Build an index; under the name of one whose build failed, where there is one."""
    made = Relation(found.relation.schema, name or one.name)
    unique, _, rest = one.content.partition("INDEX ON ")
    concurrently = "" if found.kind == "p" else "CONCURRENTLY "
    return Act(
        difference=f"index {one.name} is missing: {one.content}",
        do=(f"{unique}INDEX {concurrently}{quote(made.name)} ON {rest}",),
        undo=(f"DROP INDEX {concurrently}IF EXISTS {made.sql}",),
        relation=found.relation,
        stage=INDEXES,
        lock=f"SHARE on {found.relation}" if found.kind == "p" else NO_WAIT_FOR_WRITERS.format(found.relation),
        concurrent=found.kind != "p",
        index=made.sql,
        makes=None if name else made,
        first=broken(found, one) if one.unique else (),
        hazard=_not_concurrent(found, one) if found.kind == "p" else None,
    )


def _not_concurrent(found: Anatomy, one: Part) -> Hazard:
    return Hazard(
        id="H116",
        what=f"{one.kind} {one.name}: a partitioned table takes no index CONCURRENTLY, so writers of {found.relation}"
        " wait until it is built",
        cure="choose an hour in which nobody writes, or build it yourself on each partition first",
    )


def broken(found: Anatomy, one: Part) -> tuple[Rows, ...]:
    """Say which rows break a constraint; none is asked for where a column is still missing."""
    if not one.columns or any(found.column(name) is None for name in one.columns):
        return ()
    mine = columns(one.columns, of="t")
    filled = " AND ".join(f"t.{quote(name)} IS NOT NULL" for name in one.columns)
    match one.kind:
        case "check":
            what, where = f"{one.content} is false", f"NOT ({one.content.removeprefix('CHECK ')})"
        case "foreign key" if one.references is not None:
            pairs = zip(one.referenced, one.columns, strict=True)
            same_row = " AND ".join(f"r.{quote(theirs)} = t.{quote(ours)}" for theirs, ours in pairs)
            what = f"({', '.join(one.columns)}) points at no row of {one.references}"
            where = f"{filled} AND NOT EXISTS (SELECT FROM {one.references.sql} AS r WHERE {same_row})"
        case "primary key" | "unique" | "index" if " WHERE " not in one.content:
            plain = columns(one.columns)
            what = f"({', '.join(one.columns)}) is there more than once"
            where = (
                f"({mine}) IN (SELECT {plain} FROM {found.relation.sql} WHERE ({plain}) IS NOT NULL"
                f" GROUP BY {plain} HAVING count(*) > 1)"
            )
        case _:
            return ()
    rows = Rows(what=what, relation=found.relation, where=where, key=found.key)
    return (replace(rows, needs=one.references, alone=filled) if one.references else rows,)
