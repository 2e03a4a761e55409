"""Exclusion constraints: made while nobody reads or writes, where their rows can be counted first."""

from __future__ import annotations

import re
from typing import Final

from migrator.engine.reconcile.acts import KEYS
from migrator.engine.reconcile.columns import EXCLUSIVE, REWRITE_LIMIT
from migrator.model.adoption import Act, Rows
from migrator.model.anatomy import Anatomy, Part
from migrator.model.names import Relation, quote
from migrator.model.step import Hazard

_EXCLUDE: Final = re.compile(r"EXCLUDE USING \w+ \((.*)\)(?: DEFERRABLE.*)?")
_PAIR: Final = re.compile(r'("(?:[^"]|"")+"|\w+) WITH ([^\w\s]+)')


def made(found: Anatomy, one: Part) -> Act | None:
    """Make an exclusion constraint that is missing; None where what it excludes cannot be asked, or would take long."""
    rows = _excluding(found, one)
    if rows is None:
        return None
    said = f"{one.shown} is missing"
    hazard = Hazard(
        id="H116",
        what=f"{said}: its index cannot be built CONCURRENTLY, so whoever reads or writes {found.relation} waits until"
        " it is there",
        cure="choose an hour in which nobody uses it",
    )
    return Act(
        difference=said,
        do=(one.create,),
        undo=(f"ALTER TABLE {found.relation.sql} DROP CONSTRAINT IF EXISTS {quote(one.name)}",),
        relation=found.relation,
        stage=KEYS,
        lock=EXCLUSIVE.format(found.relation),
        makes=Relation(found.relation.schema, one.name),
        first=rows,
        hazard=hazard if found.has_rows else None,
    )


def _excluding(found: Anatomy, one: Part) -> tuple[Rows, ...] | None:
    """Say which rows keep each other out."""
    if not found.has_rows:
        return ()
    pairs = [_PAIR.fullmatch(part) for part in _EXCLUDE.sub(r"\1", one.content).split(", ")]
    known = {quote(each.name) for each in found.columns} | {each.name for each in found.columns}
    if found.bytes > REWRITE_LIMIT or not all(pair and pair[1] in known for pair in pairs):
        return None
    plain = [(pair[1], pair[2]) for pair in pairs if pair]
    if "=" not in {operator for _, operator in plain}:
        return None
    same = " AND ".join(f"o.{name} {operator} t.{name}" for name, operator in plain)
    where = f"EXISTS (SELECT FROM {found.relation.sql} AS o WHERE o.ctid <> t.ctid AND {same})"
    what = f"{one.content} does not let them in together"
    return (Rows(what=what, relation=found.relation, where=where, key=found.key),)
