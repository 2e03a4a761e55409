"""Faults the target's catalog foretells, decided set-wise: NOT NULL, CHECK, foreign keys, unique keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from migrator.engine.projection.awaited import Awaited
from migrator.model.backfill import Backfill
from migrator.model.expressions import Column, DerivedText, DerivedUuid
from migrator.model.names import Relation, ours, quote
from migrator.model.tables import ForeignKey, Table, TableColumn, Unique


@dataclass(frozen=True, slots=True)
class Foretold:
    """A fault the catalog foretells: why, and the condition over the cast row (aliased as the target)."""

    reason: str
    when: str
    awaited: Awaited | None = None


def nulls(backfill: Backfill, target: Table) -> Iterator[tuple[str, Foretold]]:
    """Foretell NULL in columns that must not be NULL, by column."""
    alias = quote(target.relation.name)
    for name in backfill.columns:
        column = target.column(name)
        if column is not None and column.not_null:
            yield name, Foretold(f"{name}: NULL is not allowed", f"{alias}.{quote(name)} IS NULL")


def checks(backfill: Backfill, target: Table) -> Iterator[Foretold]:
    """Foretell CHECK constraints over columns that the backfill fills; others are left to the insert."""
    for one in target.checks:
        if one.columns and set(one.columns) <= set(backfill.columns):
            yield Foretold(f"violates check {one.name}", f"({one.expression}) IS FALSE")


def foreign_keys(
    backfill: Backfill,
    target: Table,
    *,
    unready: Collection[Relation],
    awaited: Mapping[str, Awaited | None],
    by_index: Callable[[str], bool],
) -> Iterator[Foretold]:
    """Foretell rows that point at nothing; `unready` tables do not exist yet or are still being filled.

    `awaited` names keys whose rows are still to come; None where none will have come by then. `by_index` says whether
    an index finds the rows of a SELECT.
    """
    for one in target.foreign_keys:
        if one.references == target.relation or not set(one.columns) <= set(backfill.columns):
            continue
        if one.name in awaited:
            coming = awaited[one.name]
            when = f"{_given(one, target)} AND {coming.when}" if coming else _given(one, target)
            yield Foretold(_dangling(one), when, coming)
        elif one.references not in unready:
            yield Foretold(_dangling(one), _points_nowhere(one, target, probed=by_index(_sample(one, target))))


def _dangling(key: ForeignKey) -> str:
    return f"{', '.join(key.columns)}: no such row in {key.references}"


def _points_nowhere(key: ForeignKey, target: Table, *, probed: bool) -> str:
    """Write the condition that nothing is pointed at; EXISTS might be hashed as a whole, once for each batch."""
    alias = quote(target.relation.name)
    found = _pointed_at(key, [f"{alias}.{quote(here)}" for here in key.columns])
    nowhere = f"(SELECT true {found} LIMIT 1) IS NULL" if probed else f"NOT EXISTS (SELECT {found})"
    return f"{_given(key, target)} AND {nowhere}"


def _sample(key: ForeignKey, target: Table) -> str:
    """Write the SELECT that looks up what one value points at."""
    types = [column.type.name for name in key.columns if (column := target.column(name))]
    return f"SELECT {_pointed_at(key, [f'(SELECT NULL::{one})' for one in types])}"


def _pointed_at(key: ForeignKey, values: Sequence[str]) -> str:
    pointed, collations = ours("pointed"), key.collations or (None,) * len(key.columns)
    same = " AND ".join(
        f"{pointed}.{quote(there)} = {value}{f' COLLATE {collation}' if collation else ''}"
        for there, value, collation in zip(key.referenced_columns, values, collations, strict=True)
    )
    return f"FROM {key.references.sql} AS {pointed} WHERE {same}"


def _given(key: ForeignKey, target: Table) -> str:
    alias = quote(target.relation.name)
    return " AND ".join(f"{alias}.{quote(one)} IS NOT NULL" for one in key.columns)


def uniques(backfill: Backfill, target: Table, *, exists: bool) -> Iterator[Foretold]:
    """Foretell values that another row of the target holds, for unique keys other than identity and merge."""
    known = ({*backfill.identities}, {*backfill.merges})
    alias, holder = quote(target.relation.name), ours("holder")
    for one in target.uniques:
        if one.partial or set(one.columns) in known or not set(one.columns) <= set(backfill.columns):
            continue
        if exists:
            same = " AND ".join(f"{holder}.{quote(name)} = {alias}.{quote(name)}" for name in one.columns)
            other = " OR ".join(
                f"{holder}.{quote(name)} <> {alias}.{_identity(backfill, n)}"
                for n, name in enumerate(backfill.identities, 1)
            )
            when = f"EXISTS (SELECT FROM {target.relation.sql} AS {holder} WHERE {same} AND ({other}))"
            yield Foretold(f"{', '.join(one.columns)}: another row holds this value", when)


def _identity(backfill: Backfill, n: int) -> str:
    """Name the n-th column of the identity in the cast row: in place it is the key, which is not written."""
    return ours(f"k{n}") if backfill.in_place else quote(backfill.identities[n - 1])


def contested(backfill: Backfill, source: Table, target: Table) -> tuple[Unique, ...]:
    """List the unique keys of the target that two source rows could share, as far as the catalogs can tell."""
    found: dict[frozenset[str], Unique] = {}
    for one in target.uniques:
        filled = not one.partial and set(one.columns) <= set(backfill.columns)
        if filled and not _told_apart(backfill, source, target, one):
            found.setdefault(frozenset(one.columns), one)
    return tuple(found.values())


def _told_apart(backfill: Backfill, source: Table, target: Table, unique: Unique) -> bool:
    """Whether a unique key of the target holds a derived id, or a whole unique key of the source as it is."""
    copied = set()
    for name in unique.columns:
        made = backfill.expressions[name]
        if isinstance(made, DerivedUuid | DerivedText):
            return True
        here, there = source.column(made.name) if isinstance(made, Column) else None, target.column(name)
        if here is not None and there is not None and _keeps_apart(here, there):
            copied.add(here.name)
    keys = (one for one in source.uniques if source.vouches and not one.partial)
    return any(
        set(one.columns) <= copied and (not unique.nulls_not_distinct or _never_null(source, one)) for one in keys
    )


def _never_null(source: Table, unique: Unique) -> bool:
    return all((column := source.column(name)) is not None and column.not_null for name in unique.columns)


def _keeps_apart(here: TableColumn, there: TableColumn) -> bool:
    """Whether values that differ here differ there too; a cast or a collation may bring two together."""
    numbers = {"int2", "int4", "int8"}
    alike = (here.type.schema, here.type.base) == (there.type.schema, there.type.base)
    alike = alike and there.type.modifier in {-1, here.type.modifier}
    widened = {here.type.base, there.type.base} <= numbers and here.type.builtin and there.type.builtin
    return (alike or widened) and (there.deterministic or here.collates == there.collates)
