"""Foreign keys that point where they are declared to, and act otherwise when that is deleted or changed."""

from __future__ import annotations

from collections.abc import Iterator

from migrator.model.adoption import Act, Rows
from migrator.model.anatomy import Anatomy, Part
from migrator.model.names import quote

FOREIGN_KEYS = 70
VALIDATING = "SHARE UPDATE EXCLUSIVE on {}"


def acting_otherwise(missing: tuple[Part, ...], extra: tuple[Part, ...]) -> dict[Part, Part]:
    """Pair foreign keys that point at the same and do something else when that is deleted or changed."""
    pairs: dict[Part, Part] = {}
    for one in (each for each in missing if each.kind == "foreign key"):
        alike = (
            each
            for each in extra
            if each.kind == "foreign key" and each not in pairs.values() and _points(each) == _points(one)
        )
        pair = next(alike, None)
        if pair is not None:
            pairs[one] = pair
    return pairs


def _points(one: Part) -> tuple[object, ...]:
    return one.columns, one.references, one.referenced


def replaced(found: Anatomy, one: Part, other: Part, first: tuple[Rows, ...]) -> Iterator[Act]:
    """Put the declared foreign key beside the one that is there, then take that away: at no moment is there none."""
    at, both = found.relation.sql, f"{found.relation} and {one.references}"
    said = f"{other.shown}; declared: {one.content}"
    meanwhile, name, old = quote(f"{one.name[:50]}_declared"), quote(one.name), quote(other.name)
    yield Act(
        difference=said,
        do=(f"ALTER TABLE {at} ADD CONSTRAINT {meanwhile} {one.content} NOT VALID",),
        undo=(f"ALTER TABLE {at} DROP CONSTRAINT IF EXISTS {meanwhile}",),
        relation=found.relation,
        stage=FOREIGN_KEYS,
        lock=f"SHARE ROW EXCLUSIVE on {both}, for an instant",
        first=first,
    )
    yield Act(
        difference=said,
        do=(f"ALTER TABLE {at} VALIDATE CONSTRAINT {meanwhile}",),
        relation=found.relation,
        stage=FOREIGN_KEYS,
        lock=VALIDATING.format(found.relation) + f" and ROW SHARE on {one.references}",
    )
    again = (f"ALTER TABLE {at} ADD CONSTRAINT {old} {other.content} NOT VALID",)
    valid = (f"ALTER TABLE {at} VALIDATE CONSTRAINT {old}",) if other.valid else ()
    yield Act(
        difference=said,
        do=(f"ALTER TABLE {at} DROP CONSTRAINT {old}", f"ALTER TABLE {at} RENAME CONSTRAINT {meanwhile} TO {name}"),
        undo=(f"ALTER TABLE {at} RENAME CONSTRAINT {name} TO {meanwhile}", *again, *valid),
        relation=found.relation,
        stage=FOREIGN_KEYS,
        lock=f"ACCESS EXCLUSIVE on {both}, for an instant",
    )
