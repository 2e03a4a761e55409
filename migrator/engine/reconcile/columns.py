"""Columns: those that are missing, types that widen, defaults and NOT NULL."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from migrator.engine.reconcile.words import is_constant, plain_default
from migrator.model.adoption import Act, Rows
from migrator.model.anatomy import Anatomy, Column
from migrator.model.names import columns as listed
from migrator.model.names import quote
from migrator.model.step import Hazard

TYPES, DEFAULTS, NOT_NULL = 20, 30, 40
REWRITE_LIMIT: Final = 1024**3  # bytes of a table that is still rewritten under its lock
EXCLUSIVE = "ACCESS EXCLUSIVE on {}"
BRIEF = "ACCESS EXCLUSIVE on {}, for an instant"
_VARCHAR = re.compile(r"character varying(?:\((\d+)\))?")
_INTEGERS = ("smallint", "integer", "bigint")
_LEAST = {"smallint": -(2**15), "integer": -(2**31)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found out about columns: acts, what cannot be mended, what is harmless."""

    acts: tuple[Act, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find(declared: Anatomy, found: Anatomy, later: Anatomy | None) -> Iterator[Found]:
    """Compare the columns of a table, one by one, by name; `later` are columns of revisions to come."""
    for column in declared.columns:
        other = found.column(column.name)
        yield _missing(declared, found, column) if other is None else _differing(found, column, other)
    for one in found.columns:
        if declared.column(one.name) is None and (later is None or later.column(one.name) is None):
            yield _extra(one)


def _missing(declared: Anatomy, found: Anatomy, column: Column) -> Found:
    said = f'column "{column.name}" is missing (declared: {column.type})'
    if column.generated or column.identity or (column.default or "").startswith("nextval("):
        return Found(reasons=(f"{said}, and its values are made by the server: add it yourself",))
    if column.not_null and found.has_rows and not is_constant(column.default):
        return Found(reasons=(f"{said}, it is NOT NULL and no constant fills it for the rows that are there",))
    at, name = found.relation.sql, quote(column.name)
    constant = column.default is None or is_constant(column.default) or not found.has_rows
    # A default that is worked out would give the rows that are there a value nobody recorded.
    do = (
        (f"ALTER TABLE {at} ADD COLUMN {column.ddl}",)
        if constant
        else (
            f"ALTER TABLE {at} ADD COLUMN {name} {column.type}",
            f"ALTER TABLE {at} ALTER COLUMN {name} SET DEFAULT {column.default}",
        )
    )
    place = declared.columns.index(column)
    last = "" if place == len(declared.columns) - 1 else f"; it will stand behind the others, not as number {place + 1}"
    act = Act(
        difference=said + last,
        do=do,
        undo=(f"ALTER TABLE {at} DROP COLUMN IF EXISTS {name}",),
        relation=found.relation,
        stage=TYPES,
        lock=BRIEF.format(found.relation),
        loses=(_written(found, column),),
    )
    return Found(acts=(act,))


def _written(found: Anatomy, column: Column) -> Rows:
    """Say which rows have got a value in a column that undo takes away."""
    name = f"t.{quote(column.name)}"
    other = f" AND {name}::text <> ({column.default})::text" if is_constant(column.default) else ""
    return Rows(what=f"column {column.name}", relation=found.relation, where=f"{name} IS NOT NULL{other}")


def _extra(column: Column) -> Found:
    said = f'column "{column.name}" is not declared'
    if column.not_null and column.default is None and not column.identity and not column.generated:
        return Found(reasons=(f"{said}, is NOT NULL and has no default: our rows would have no value for it",))
    return Found(notes=(f"{said}; it stays, and our rows do not fill it",))


def _differing(found: Anatomy, column: Column, other: Column) -> Found:
    said = f'column "{column.name}" is'
    reasons: list[str] = []
    acts: list[Act] = []
    if (column.identity, column.generated) != (other.identity, other.generated):
        reasons.append(f"{said} {_made(other)}, declared: {_made(column)}")
    elif column.generated and column.default != other.default:
        reasons.append(f'column "{column.name}" is generated as {other.default}, declared: {column.default}')
    if column.collation != other.collation:
        reasons.append(f"{said} collated by {other.collation or 'default'}, declared: {column.collation or 'default'}")
    if column.type != other.type:
        changed = _widened(found, column, other)
        acts += [changed] if isinstance(changed, Act) else []
        reasons += [changed] if isinstance(changed, str) else []
    elif not column.generated and column.default != other.default and other.default is not None:
        reasons.append(f'column "{column.name}" has default {other.default}, declared: {column.default or "none"}')
    if other.default is None and column.default is not None and not column.generated:
        acts.append(_default(found, column))
    if other.not_null and not column.not_null:
        reasons.append(f"{said} NOT NULL, declared: nullable")
    if column.not_null and not other.not_null:
        acts += _not_null(found, column)
    notes = _printed_otherwise(found, column) if column.type != other.type and not reasons else ()
    return Found(acts=tuple(acts), reasons=tuple(reasons), notes=notes)


def _printed_otherwise(found: Anatomy, column: Column) -> tuple[str, ...]:
    """Name the CHECKs that PostgreSQL, asked for the old type again, prints with the casts in another place."""
    told = (one.name for one in found.of_kind("check") if column.name in one.columns and "])::text[]" in one.content)
    return tuple(f"check {name} will mean the same after a rollback, and be printed with other casts" for name in told)


def _made(column: Column) -> str:
    made = {"a": "an identity, always", "d": "an identity, by default"}.get(column.identity)
    return made or ("generated" if column.generated else "an ordinary column")


def _default(found: Anatomy, column: Column) -> Act:
    at, name = found.relation.sql, quote(column.name)
    return Act(
        difference=f'column "{column.name}" has no default, declared: {column.default}',
        do=(f"ALTER TABLE {at} ALTER COLUMN {name} SET DEFAULT {column.default}",),
        undo=(f"ALTER TABLE {at} ALTER COLUMN {name} DROP DEFAULT",),
        relation=found.relation,
        stage=DEFAULTS,
        lock=BRIEF.format(found.relation),
    )


def _not_null(found: Anatomy, column: Column) -> tuple[Act, ...]:
    """Forbid NULL without reading the table under a lock that stops it: by a CHECK that is validated first."""
    at, name = found.relation.sql, quote(column.name)
    check = quote(f"migrator_{hashlib.sha256(column.name.encode()).hexdigest()[:8]}_not_null")
    said = f'column "{column.name}" is nullable, declared: NOT NULL'
    rows = Rows(what=f"{column.name} is NULL", relation=found.relation, where=f"t.{name} IS NULL", key=found.key)
    return (
        Act(
            difference=said,
            do=(f"ALTER TABLE {at} ADD CONSTRAINT {check} CHECK ({name} IS NOT NULL) NOT VALID",),
            undo=(f"ALTER TABLE {at} DROP CONSTRAINT IF EXISTS {check}",),
            relation=found.relation,
            stage=NOT_NULL,
            lock=BRIEF.format(found.relation),
            first=(rows,),
        ),
        Act(
            difference=said,
            do=(f"ALTER TABLE {at} VALIDATE CONSTRAINT {check}",),
            relation=found.relation,
            stage=NOT_NULL,
            lock=f"SHARE UPDATE EXCLUSIVE on {found.relation}",
        ),
        Act(
            difference=said,
            do=(f"ALTER TABLE {at} ALTER COLUMN {name} SET NOT NULL", f"ALTER TABLE {at} DROP CONSTRAINT {check}"),
            undo=(f"ALTER TABLE {at} ALTER COLUMN {name} DROP NOT NULL",),
            relation=found.relation,
            stage=NOT_NULL,
            lock=BRIEF.format(found.relation),
        ),
    )


def _widened(found: Anatomy, column: Column, other: Column) -> Act | str:
    """Change a type to one that holds all its values, or say why not."""
    said = f'column "{column.name}" is {other.type}, declared: {column.type}'
    rewrites = _rewrites(other.type, column.type)
    if rewrites is None:
        return said
    if other.used_by:
        return f"{said}; its type cannot change while it is used by {', '.join(other.used_by)}"
    if other.default is not None and plain_default(other.default) != plain_default(column.default):
        return f"{said}; its default is {other.default}, declared: {column.default or 'none'}"
    if other.identity:
        return f"{said}; it is an identity"
    if rewrites and found.bytes > REWRITE_LIMIT:
        return f"{said}; the table of {_size(found.bytes)} would be rewritten under ACCESS EXCLUSIVE: do it yourself"
    if other.type == "json" and not found.key:
        return f"{said}; without a primary key the texts could not be put back exactly"
    do, undo = _json(found, column, other) if other.type == "json" else _plainly(found, column, other)
    hazard = Hazard(
        id="H114",
        what=f"{said}: {found.relation} ({_size(found.bytes)}) is rewritten, and nobody reads or writes it meanwhile",
        cure="choose an hour in which nobody uses it, or change the type yourself first",
    )
    return Act(
        difference=said,
        do=do,
        undo=undo,
        relation=found.relation,
        stage=TYPES if other.type == "json" else TYPES + 1,  # its undo finds rows by keys as they are now
        lock=(EXCLUSIVE if rewrites else BRIEF).format(found.relation),
        first=_cannot_go(found, column, other),
        first_back=_cannot_return(found, column, other),
        hazard=hazard if rewrites and found.has_rows else None,
    )


def _rewrites(one: str, other: str) -> bool | None:
    """Say whether a change of type rewrites the table; None where the other type does not hold all values."""
    ours, theirs = _VARCHAR.fullmatch(one), _VARCHAR.fullmatch(other)
    if ours and (other == "text" or theirs):
        limits = int(ours[1] or 0), int(theirs[1] or 0) if theirs else 0
        return False if not limits[1] or 0 < limits[0] <= limits[1] else None
    if (one, other) == ("json", "jsonb"):
        return True
    if one in _INTEGERS and other in _INTEGERS and _INTEGERS.index(one) < _INTEGERS.index(other):
        return True
    return None


def _typed(found: Anatomy, column: Column, using: str, default: str | None) -> str:
    at, name = found.relation.sql, quote(column.name)
    again = f", ALTER COLUMN {name} SET DEFAULT {default}" if default is not None else ""
    return f"ALTER TABLE {at} ALTER COLUMN {name} DROP DEFAULT, ALTER COLUMN {name} TYPE {column.type}{using}{again}"


def _plainly(found: Anatomy, column: Column, other: Column) -> tuple[tuple[str, ...], tuple[str, ...]]:
    default = column.default if other.default is not None else None
    return (_typed(found, column, "", default),), (_typed(found, other, "", other.default),)


def _json(found: Anatomy, column: Column, other: Column) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Go to jsonb and back: texts that jsonb would write differently are kept beside, by primary key."""
    at, name, key = found.relation.sql, quote(column.name), listed(found.key)
    kept = f"kept_{hashlib.sha256(f'{found.relation.sql}.{name}'.encode()).hexdigest()[:12]}"
    types = {one.name: one.type for one in found.columns}
    given = ", ".join(types[one] for one in found.key)
    same = " AND ".join(f"k.{quote(one)} = ${at_}" for at_, one in enumerate(found.key, 1))
    last = f"${len(found.key) + 1}"
    default = column.default if other.default is not None else None
    lock = f"LOCK TABLE {at} IN ACCESS EXCLUSIVE MODE"
    do = (
        lock,
        f"CREATE TABLE migrator.{kept} AS SELECT {key}, {name}::text AS kept_text FROM {at}"
        f" WHERE {name}::text <> {name}::jsonb::text",
        f"ALTER TABLE migrator.{kept} ADD PRIMARY KEY ({key})",
        _typed(found, column, f" USING {name}::jsonb", default),
    )
    undo = (
        lock,
        f"CREATE FUNCTION pg_temp.{kept}({given}, jsonb) RETURNS json LANGUAGE sql STABLE AS $migrator$"
        f" SELECT coalesce((SELECT k.kept_text::json FROM migrator.{kept} AS k"
        f" WHERE {same} AND k.kept_text::jsonb = {last}), {last}::json) $migrator$",
        _typed(found, other, f" USING pg_temp.{kept}({key}, {name})", other.default),
        f"DROP FUNCTION pg_temp.{kept}({given}, jsonb)",
        f"DROP TABLE migrator.{kept}",
    )
    return do, undo


def _cannot_go(found: Anatomy, column: Column, other: Column) -> tuple[Rows, ...]:
    if other.type != "json":
        return ()
    # What jsonb refuses and json holds: a NUL among the escapes. Numbers beyond its range are found by the attempt.
    where = f"t.{quote(column.name)}::text ~ '[^\\\\](\\\\\\\\)*\\\\u0000'"
    return (Rows(what=f"{column.name} holds \\u0000", relation=found.relation, where=where, key=found.key),)


def _cannot_return(found: Anatomy, column: Column, other: Column) -> tuple[Rows, ...]:
    name, limit = f"t.{quote(column.name)}", _VARCHAR.fullmatch(other.type)
    if limit and limit[1]:
        where, what = f"char_length({name}) > {limit[1]}", f"{column.name} is longer than {limit[1]}"
    elif other.type in _LEAST:
        least = _LEAST[other.type]
        where, what = f"{name} NOT BETWEEN {least} AND {-least - 1}", f"{column.name} is too large for {other.type}"
    else:
        return ()
    return (Rows(what=what, relation=found.relation, where=where, key=found.key),)


def _size(number: int) -> str:
    return f"{number / 1024**2:,.0f} MiB" if number >= 1024**2 else f"{number / 1024:,.0f} KiB"
