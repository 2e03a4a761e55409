"""Digests of rows: exact by image, never coarser than what is stored (docs/design.md, proof).

A type's own hash is used only where equal hashes of unequal images are mere accident (1 in 2^64). Every other
type, array or domain is digested by its text: numeric scale, -0, citext, interval, jsonb numbers, json, xml, point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from migrator.ledger.backfills import Recorded
from migrator.model.names import quote
from migrator.model.tables import Table, TableColumn

ALGORITHM = "hash_record_extended/1"

_NATIVE = frozenset({"int2", "int4", "int8", "bool", "uuid", "bytea", "date", "timestamp", "timestamptz", "oid"})
_COARSE = frozenset({"numeric", "float4", "float8", "interval", "jsonb", "citext"})
_TEXT = frozenset({"text", "varchar"})


def image(column: TableColumn, value: str) -> str:
    """Give the SQL whose equality and hash are those of the stored image of `value`."""
    kind = column.type
    if kind.builtin and kind.kind == "b" and kind.element is None:
        if kind.base in _NATIVE:
            return value
        if kind.base in _TEXT:
            return value if column.deterministic else f'({value})::text COLLATE "C"'
        if kind.base == "bpchar":
            return f"bpcharsend({value})"
    return f'({value})::text COLLATE "C"'


def likeness(column: TableColumn, value: str) -> str:
    """Give the SQL whose equality and hash are those of the type itself: by it rows to merge with are recognised."""
    kind = column.type
    base = kind.element or kind.under or kind.base
    coarse = base in _COARSE or (base in _TEXT and not column.deterministic)
    return value if coarse else image(column, value)


def digest(columns: Iterable[TableColumn], *, of: str, by: Callable[[TableColumn, str], str] = image) -> str:
    """Give the SQL of a 64-bit digest (bigint) over columns of the relation aliased `of`, in the order given."""
    images = ", ".join(by(one, f"{of}.{quote(one.name)}") for one in columns)
    return f"hash_record_extended(ROW({images}), 0)"


def stored_digest(recorded: Recorded, target: Table, provenance: str, row: str) -> str:
    """Give the SQL of a target row's digest as the definition that moved it would have made it.

    NULL where that definition's columns are no longer all there.
    """
    arms = []
    for number, names in sorted(recorded.compared.items()):
        known = [column for name in names if (column := target.column(name)) is not None]
        if len(known) == len(names):
            arms.append(f"WHEN {number} THEN {digest(known, of=row)}")
    return f"CASE {provenance}.definition {' '.join(arms)} END" if arms else "NULL::bigint"
