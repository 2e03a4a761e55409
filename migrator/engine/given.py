"""Arguments that only the server can judge: whether a table is there, and whether a regular expression is one."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import value
from migrator.model.backfill import Backfill
from migrator.model.change import Change
from migrator.model.errors import ConfigurationError
from migrator.model.names import Relation, literal
from migrator.model.parameters import Parameter, Pattern
from migrator.model.parameters import Table as TableNamed
from migrator.model.tables import Table

_COLUMNS = 2
_NO_PATTERN = "2201B"


def refuse_unusable(conn: Connection, change: Change, backfill: Backfill) -> None:
    """Raise ConfigurationError M106 for an argument of a backfill that names no table, or is no regular expression."""
    for parameter in backfill.parameters().values():
        given = change.arguments.scalars.get(parameter.name)
        if isinstance(given, str) and given != parameter.default:
            for fault, cure in _faults(conn, parameter, given):
                raise ConfigurationError("M106", f"parameters of {change.name}: {parameter.name}: {fault}", cure)


def refuse_no_labels(change: Change, backfill: Backfill, tables: Collection[Table]) -> None:
    """Raise ConfigurationError M106 for an argument that names what is no label of the enum it should be of.

    `tables` are the source as it is and as it will be: a label may still be to come.
    """
    for parameter in backfill.parameters().values():
        columns = [one.column(parameter.labels_of) for one in tables]
        labels = dict.fromkeys(label for one in columns if one is not None for label in one.type.labels)
        given = change.arguments.scalars.get(parameter.name)
        if not labels or not isinstance(given, str) or given == parameter.default:
            continue
        if unknown := [word for word in map(str.strip, given.split(",")) if word not in labels]:
            are = "is no label of" if len(unknown) == 1 else "are no labels of"
            raise ConfigurationError(
                "M106",
                f"parameters of {change.name}: {parameter.name}: {', '.join(map(repr, unknown))} {are}"
                f" {backfill.source}.{parameter.labels_of}.",
                f"The labels are: {', '.join(labels)}.",
            )


def _faults(conn: Connection, parameter: Parameter, given: str) -> Iterator[tuple[str, str]]:
    if parameter.kind is TableNamed:
        named = Relation.parse(given)
        counted = "SELECT count(*) FROM pg_catalog.pg_attribute a WHERE attnum > 0 AND NOT attisdropped"
        columns = value(conn, f"{counted} AND attrelid = pg_catalog.to_regclass({literal(named.sql)})")
        if columns < _COLUMNS:
            missing = f"there is no table or view {named}." if not columns else f"{named} has no second column."
            yield missing, "Name one whose first two columns are a key and what it stands for."
    elif parameter.kind is Pattern:
        try:
            with conn.transaction():
                value(conn, f"SELECT '' ~ {literal(given)}")
        except SqlError as error:
            if error.sqlstate != _NO_PATTERN:
                raise
            yield f"{given!r} is no regular expression: {failures.message(error)}.", "Write it as PostgreSQL reads it."
