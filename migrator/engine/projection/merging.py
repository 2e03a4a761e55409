"""Folds: expressions over a target row through which its values and the Projection's are compared for a merge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from migrator.engine.projection.images import likeness
from migrator.engine.projection.translate import Translator
from migrator.model import expressions as ex
from migrator.model.errors import ConfigurationError
from migrator.model.names import quote
from migrator.model.tables import TableColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One merge column's expression, over the target columns that the definition fills. `gives` is its type."""

    text: str
    alias: str
    columns: tuple[str, ...]
    gives: TableColumn

    def of(self, row: str) -> str:
        """Write the value for a row of any relation that has these columns; plain names mean that row's alone."""
        columns = ", ".join(f"{row}.{quote(one)} AS {quote(one)}" for one in self.columns)
        return f"(SELECT {self.text} FROM (SELECT {columns}) AS {self.alias})"


def recognition(folds: Iterable[Fold], row: str) -> str:
    """Write the digest of what a row is recognised by."""
    values = ", ".join(likeness(one.gives, one.of(row)) for one in folds)
    return f"hash_record_extended(ROW({values}), 0)"


def text_of(expression: ex.Expression, translator: Translator) -> str:
    """Translate an expression over the target row.

    Raises ConfigurationError M153 for one that needs more than that row, and what translating raises.
    """
    text = translator.value(expression).sql
    if translator.steps:
        raise ConfigurationError(
            "M153", f"{expression!r} needs more than the row itself.", 'Write sql("…") over columns of the target.'
        )
    return text
