"""Keys, checks, foreign keys and indexes: compared by what they are, brought over without stopping readers and writers.

A name alone is no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from migrator.engine.reconcile import foreign_keys
from migrator.engine.reconcile.columns import BRIEF, Found
from migrator.engine.reconcile.foreign_keys import FOREIGN_KEYS, VALIDATING
from migrator.engine.reconcile.words import plain, words
from migrator.model.adoption import Act, Rows
from migrator.model.anatomy import Anatomy, Part
from migrator.model.names import Relation, columns, quote
from migrator.model.step import Hazard

KEYS, CHECKS, INDEXES = 50, 60, 80
KINDS: Final = ("primary key", "unique", "check", "foreign key", "exclusion", "index")
NO_WAIT_FOR_WRITERS = "SHARE UPDATE EXCLUSIVE on {}; waits for transactions older than itself"
NOT_VALID_FOR_PARTITIONED = 18


def find(declared: Anatomy, found: Anatomy, later: Anatomy | None, major: int) -> Iterator[Found]:
    """Compare keys, checks, foreign keys and indexes by what they are; `later` are those of revisions to come."""
    strings = _strings(declared)
    missing, extra = matched(declared.of_kind(*KINDS), found.of_kind(*KINDS), strings)
    _, extra = matched(later.of_kind(*KINDS) if later else (), extra, strings)
    for mine, theirs in _halves(declared, found, strings):
        yield Found(acts=tuple(_finished(found, mine, theirs)))
    extra, ready = _instead(missing, extra)
    replaced = foreign_keys.acting_otherwise(missing, extra) if found.kind != "p" else {}
    for mine, theirs in replaced.items():
        yield Found(acts=tuple(foreign_keys.replaced(found, mine, theirs, _broken(found, mine))))
    missing = tuple(one for one in missing if one not in replaced)
    extra = tuple(one for one in extra if one not in replaced.values())
    for one in missing:
        if one not in ready:
            yield _missing(found, one, extra, major)
    changed = {(one.kind, one.name) for one in missing if one.kind != "check"}
    for one in extra:
        if (one.kind, one.name) not in changed:  # said already
            yield _extra(declared, one, strings)


def _strings(declared: Anatomy) -> frozenset[str]:
    return frozenset(one.name for one in declared.columns if one.type == "text" or "character" in one.type)


def same(one: Part, strings: Iterable[str]) -> tuple[str, str]:
    """Give what makes two objects the same: what they are, not what they are called."""
    typed = one.kind in {"check", "index"}
    return one.kind, plain(one.content, frozenset(strings)) if typed else one.content


def matched(
    declared: Iterable[Part], found: Iterable[Part], strings: Iterable[str] = ()
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Pair objects by what they are; give those that are missing and those that are not declared."""
    left = list(found)
    missing = []
    for one in declared:
        pair = next((other for other in left if same(other, strings) == same(one, strings)), None)
        if pair is None:
            missing.append(one)
        else:
            left.remove(pair)
    return tuple(missing), tuple(left)


def _halves(declared: Anatomy, found: Anatomy, strings: Iterable[str]) -> Iterator[tuple[Part, Part]]:
    """Find what is there, and NOT VALID."""
    for one in found.of_kind(*KINDS):
        mine = next((each for each in declared.of_kind(one.kind) if same(each, strings) == same(one, strings)), None)
        if mine is not None and mine.valid and not one.valid:
            yield mine, one


def _finished(found: Anatomy, mine: Part, theirs: Part) -> Iterator[Act]:
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
            first=_broken(found, mine),
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
    yield _index(found, mine, name=theirs.name)


def _instead(missing: tuple[Part, ...], extra: tuple[Part, ...]) -> tuple[tuple[Part, ...], frozenset[Part]]:
    """Take a unique index for the unique constraint that is declared: it forbids the same rows."""
    ready, used = set(), set()
    for one in missing:
        if one.kind == "unique" and one.content == f"UNIQUE ({columns_plain(one)})":
            pair = next((e for e in extra if e not in used and _forbids_the_same(e, one)), None)
            if pair is not None:
                ready.add(one)
                used.add(pair)
    return tuple(one for one in extra if one not in used), frozenset(ready)


def columns_plain(one: Part) -> str:
    """List columns as the catalog does where no name needs quotes."""
    return ", ".join(one.columns)


def _forbids_the_same(index: Part, unique: Part) -> bool:
    wanted = f" USING btree ({columns_plain(unique)})"
    return index.kind == "index" and index.unique and index.valid and index.content.endswith(wanted)


def _missing(found: Anatomy, one: Part, extra: Iterable[Part], major: int) -> Found:
    other = next((each for each in extra if each.name == one.name), None)
    if other is not None and other.kind != "check":
        return Found(reasons=(f"{other.shown}; declared: {one.content}",))
    match one.kind:
        case "primary key" | "unique":
            if one.kind == "primary key" and found.key:
                return Found(reasons=(f"the primary key is ({', '.join(found.key)}), declared: {one.content}",))
            return Found(acts=tuple(_key(found, one)))
        case "check":
            return Found(acts=tuple(_validated(found, one, CHECKS, other)))
        case "foreign key":
            partitioned = found.kind == "p" and major < NOT_VALID_FOR_PARTITIONED
            return Found(acts=(_at_once(found, one),) if partitioned else tuple(_validated(found, one, FOREIGN_KEYS)))
        case "index":
            return Found(acts=(_index(found, one),))
        case _:
            return Found(reasons=(f"{one.shown} is missing, and cannot be made without stopping readers and writers",))


def _key(found: Anatomy, one: Part) -> Iterator[Act]:
    at, name = found.relation.sql, quote(one.name)
    said = f"{one.kind} ({', '.join(one.columns)}) is missing"
    if found.kind == "p":
        yield Act(
            difference=said,
            do=(one.create,),
            undo=(f"ALTER TABLE {at} DROP CONSTRAINT IF EXISTS {name}",),
            relation=found.relation,
            stage=KEYS,
            lock=f"ACCESS EXCLUSIVE on {found.relation}",
            first=_broken(found, one),
            hazard=_not_concurrent(found, one),
        )
        return
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
        first=_broken(found, one),
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


def _validated(found: Anatomy, one: Part, stage: int, other: Part | None = None) -> Iterator[Act]:
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
        first=_broken(found, one),
    )
    yield Act(
        difference=shown,
        do=(f"ALTER TABLE {at} VALIDATE CONSTRAINT {name}",),
        relation=found.relation,
        stage=stage,
        lock=VALIDATING.format(found.relation) + (f" and ROW SHARE on {one.references}" if one.references else ""),
    )


def _at_once(found: Anatomy, one: Part) -> Act:
    at, ends = found.relation.sql, f"{found.relation} and {one.references}"
    return Act(
        difference=f"{one.kind} {one.content} is missing",
        do=(one.create,),
        undo=(f"ALTER TABLE {at} DROP CONSTRAINT IF EXISTS {quote(one.name)}",),
        relation=found.relation,
        stage=FOREIGN_KEYS,
        lock=f"SHARE ROW EXCLUSIVE on {ends}",
        first=_broken(found, one),
        hazard=Hazard(
            id="H115",
            what=f"{one.name}: a partitioned table takes no foreign key NOT VALID before PostgreSQL 18,"
            f" so writers of {ends} wait while all its rows are checked",
            cure="choose an hour in which nobody writes, or add it yourself partition by partition",
        ),
    )


def _index(found: Anatomy, one: Part, name: str | None = None) -> Act:
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
        first=_broken(found, one) if one.unique else (),
        hazard=_not_concurrent(found, one) if found.kind == "p" else None,
    )


def _not_concurrent(found: Anatomy, one: Part) -> Hazard:
    return Hazard(
        id="H116",
        what=f"{one.kind} {one.name}: a partitioned table takes no index CONCURRENTLY, so writers of {found.relation}"
        " wait until it is built",
        cure="choose an hour in which nobody writes, or build it yourself on each partition first",
    )


def _broken(found: Anatomy, one: Part) -> tuple[Rows, ...]:
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


def _extra(declared: Anatomy, one: Part, strings: frozenset[str]) -> Found:
    said = f"{one.shown} is not declared"
    if one.kind == "index" and not one.unique:
        return Found(notes=(f"{said}; it stays",))
    if one.kind == "check":
        return _extra_check(declared, one, strings)
    known = {each.name for each in declared.columns}
    if one.columns and not known.intersection(one.columns):
        return Found(notes=(f"{said}; it is about columns that our rows do not fill",))
    wider = (each.columns for each in declared.of_kind("primary key", "unique"))
    if one.kind in {"unique", "index"} and any(set(each) <= set(one.columns) for each in wider if each):
        return Found(notes=(f"{said}; a declared key forbids the same and more",))
    return Found(reasons=(f"{said}, and may refuse our rows",))


def _extra_check(declared: Anatomy, one: Part, strings: frozenset[str]) -> Found:
    said = f"{one.shown} is not declared"
    allowed = words(one.content, strings)
    for other in declared.of_kind("check"):
        wanted = words(other.content, strings)
        if allowed and wanted and allowed[0] == wanted[0]:
            lost = sorted(wanted[1] - allowed[1])
            if lost:
                return Found(reasons=(f"{said}: it forbids {', '.join(lost)}, which is declared",))
            return Found(notes=(f"{said}; it allows every declared word",))
    known = {each.name for each in declared.columns}
    if not known.intersection(one.columns):
        return Found(notes=(f"{said}; it is about columns that our rows do not fill",))
    return Found(reasons=(f"{said}, and may refuse our rows",))
