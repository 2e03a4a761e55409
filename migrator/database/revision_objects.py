"""What a revision needs besides Alembic: enums that are compared before they grow, indexes that were built before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from alembic import context, op
from alembic.util import CommandError

from migrator.database.revision_indexes import building, index_name
from migrator.model.names import literal

_LABELS: Final = """
    SELECT e.enumlabel FROM pg_catalog.pg_enum AS e
    WHERE e.enumtypid = pg_catalog.to_regtype({name}) ORDER BY e.enumsortorder"""


def expect_labels(enum: str, labels: Sequence[str]) -> None:
    """Refuse to go on where an enum (schema and name, as in SQL) has not exactly these labels, in this order.

    Raises CommandError, which the tool shows as M203.
    """
    if context.is_offline_mode():
        return
    found = op.get_bind().exec_driver_sql(_LABELS.format(name=literal(enum))).scalars().all()
    if list(found) != list(labels):
        has = ", ".join(found) or "no labels, or is no enum here"
        raise CommandError(
            f"type {enum} has {has}; expected is {', '.join(labels)}. Somebody changed it, and nobody recorded who."
            " Look whether a part of this change was done by hand, and take that back first."
        )


def built_before(statements: Sequence[str]) -> None:
    """Make sure that a revision's indexes are there: those which the tool built before are compared, others are built.

    Under `alembic` by hand they are built in the transaction of the revision, and writers wait for that long.
    Raises CommandError where an index of that name is another one, or is not valid.
    """
    by_tool = "change" in context.config.attributes
    for statement in statements:
        if context.is_offline_mode():
            op.execute(building(statement) if by_tool else statement)
            continue
        if not _is_there(statement):
            op.execute(statement)


def _is_there(statement: str) -> bool:
    name = index_name(statement)
    found = op.get_bind().exec_driver_sql(
        "SELECT pg_catalog.pg_get_indexdef(i.indexrelid), i.indisvalid FROM pg_catalog.pg_index AS i"
        f" WHERE i.indexrelid = pg_catalog.to_regclass({literal(name)})"
    )
    row = found.first()
    if row is None:
        return False
    if row[0] != statement or not row[1]:
        raise CommandError(f"index {name} is there and is another one, or not valid: {row[0]}. Drop or rename it.")
    return True
