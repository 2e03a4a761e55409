"""Enumerations: words that are missing, and how the type is made anew without them when that is undone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from migrator.engine.reconcile.columns import REWRITE_LIMIT, Found
from migrator.model.adoption import Act, Rows
from migrator.model.anatomy import Beside, Use
from migrator.model.names import Relation, literal, quote

LABELS = 12  # behind types that are missing, before every column
_LONGEST = 63


def find(declared: Beside, found: Beside, at: Relation) -> Found:
    """Compare the labels of a type; `at` is the table for whose sake it is made. Others beside ours are harmless."""
    said = f"type {declared.name} is {found.content}, declared: {declared.content}"
    missing = [one for one in declared.labels if one not in found.labels]
    both = [one for one in found.labels if one in declared.labels]
    if not declared.labels or both != [one for one in declared.labels if one in found.labels]:
        return Found(reasons=(said,))
    more = [one for one in found.labels if one not in declared.labels]
    notes = (
        (f"type {declared.name} has {', '.join(more)} beside what is declared; no row of ours gets it",) if more else ()
    )
    if not missing:
        return Found(notes=notes)
    if found.bound or any(one.bytes > REWRITE_LIMIT for one in found.uses):
        why = ", ".join(found.bound) or f"a table of more than {REWRITE_LIMIT // 1024**3} GiB"
        how = "; ".join(_adding(declared, one) for one in missing)
        never = "PostgreSQL takes no label back, and the type cannot be made anew because of"
        return Found(reasons=(f"{said}; {never} {why}. If it may stay for ever: {how}",), notes=notes)
    return Found(acts=tuple(_acts(declared, found, missing, at)), notes=notes)


def _acts(declared: Beside, found: Beside, missing: list[str], at: Relation) -> Iterator[Act]:
    """Add each label in a transaction of its own, as PostgreSQL wants it; the first one's undo takes all away."""
    rewritten = ", ".join(dict.fromkeys(str(one.relation) for one in found.uses))
    back = f"; undo makes the type anew{f' and rewrites {rewritten}' if rewritten else ''}"
    for number, label in enumerate(missing):
        yield Act(
            difference=f"label {label} of type {declared.name} is missing{back}",
            do=(_adding(declared, label),),
            undo=() if number else tuple(_anew(found)),
            relation=found.uses[0].relation if found.uses else at,
            stage=LABELS,
            lock="none on tables in use",
            first_back=tuple(_holding(one, label) for one in found.uses),
        )


def _adding(declared: Beside, label: str) -> str:
    place = declared.labels.index(label)
    behind = f" AFTER {literal(declared.labels[place - 1])}" if place else f" BEFORE {literal(declared.labels[1])}"
    return f"ALTER TYPE {declared.name} ADD VALUE IF NOT EXISTS {literal(label)}{behind}"


def _anew(found: Beside) -> Iterator[str]:
    schema, _, own = found.name.rpartition(".")
    plain = own[1:-1].replace('""', '"') if own.startswith('"') else own
    beside = quote(f"{plain[:40]}_{hashlib.sha256(found.name.encode()).hexdigest()[:8]}"[:_LONGEST])
    yield f"ALTER TYPE {found.name} RENAME TO {beside}"
    yield found.create
    for one in found.uses:
        name = quote(one.column)
        default = f", ALTER COLUMN {name} SET DEFAULT {one.default}" if one.default is not None else ""
        yield (
            f"ALTER TABLE {one.relation.sql} ALTER COLUMN {name} DROP DEFAULT,"
            f" ALTER COLUMN {name} TYPE {found.name} USING {name}::text::{found.name}{default}"
        )
    yield f"DROP TYPE {schema}.{beside}"


def _holding(use: Use, label: str) -> Rows:
    where = f"t.{quote(use.column)}::text = {literal(label)}"
    return Rows(what=f"{use.column} is {label}", relation=use.relation, where=where)
