"""Folds: expressions over a target row through which its values and the Projection's are compared for a merge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from migrator.engine.projection import purity
from migrator.engine.projection.catalog import Catalog
from migrator.engine.projection.fit import Faults, Subject
from migrator.engine.projection.images import likeness
from migrator.engine.projection.translate import Translator
from migrator.model import expressions as ex
from migrator.model.errors import ConfigurationError, MigratorError
from migrator.model.names import quote
from migrator.model.tables import TableColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One merge column's expression, over the target columns that the definition fills. `gives` is its type."""

    text: str
    alias: str
    columns: tuple[str, ...]
    gives: TableColumn
    whole: bool = False  # it may mean the row as a whole, which is no row of the target itself

    def of(self, row: str) -> str:
        """Write the value for a row of any relation that has these columns; plain names mean that row's alone."""
        columns = ", ".join(f"{row}.{quote(one)} AS {quote(one)}" for one in self.columns)
        return f"(SELECT {self.text} FROM (SELECT {columns}) AS {self.alias})"


def recognition(folds: Iterable[Fold], row: str) -> str:
    """Write the digest of what a row is recognised by."""
    values = ", ".join(likeness(one.gives, one.of(row)) for one in folds)
    return f"hash_record_extended(ROW({values}), 0)"


def folds_of(subject: Subject, catalog: Catalog, faults: Faults) -> tuple[Fold, ...]:
    """Translate the expressions by which rows to merge with are recognised, over the columns that are filled."""
    target, found = subject.target, []
    names = tuple(subject.backfill.columns)
    row = ", ".join(f"NULL::{_known_type(subject, catalog, name)} AS {quote(name)}" for name in names)
    for name, expression in subject.backfill.folds.items():
        over = Translator(source=target, declared_source="", keys=(), arguments=subject.arguments)
        try:
            text = _text_of(expression, over)
            (gives,) = catalog.describe(f"SELECT {text} FROM (SELECT {row}) AS {over.alias}")
        except MigratorError as error:
            faults.add("M153", f'merge "{name}": {error.what}', error.cure or "Use columns of the target.")
            continue
        merged, said = target.column(name), purity.words(text)
        column = TableColumn(name=name, type=gives, deterministic=merged is None or merged.deterministic)
        whole = target.relation.name in said
        used = names if whole else tuple(one for one in names if one in said)
        found.append(Fold(text=text, alias=over.alias, columns=used, gives=column, whole=whole))
    return tuple(found)


def is_served(subject: Subject, by_index: Callable[[str], bool], folds: Sequence[Fold]) -> bool:
    """Tell whether an index of the target finds the rows that one may merge with, so that not all need be read."""
    target, merges = subject.target, subject.backfill.merges
    met_once = not folds and target.unique_over(merges) is not None
    if not merges or met_once or any(one.whole for one in folds):
        return False
    sides = [(one.text, one.gives.type) for one in folds]
    sides = sides or [(quote(name), subject.type_of(name)) for name in merges]
    same = " AND ".join(f"({text}) = (SELECT NULL::{kind.name})" for text, kind in sides)
    return by_index(f"SELECT FROM {target.relation.sql} AS {quote(target.relation.name)} WHERE {same}")


def _known_type(subject: Subject, catalog: Catalog, name: str) -> str:
    wanted = subject.type_of(name)
    return wanted.name if catalog.type_exists(wanted) else "text"


def _text_of(expression: ex.Expression, translator: Translator) -> str:
    """Translate an expression over the target row.

    Raises ConfigurationError M153 for one that needs more than that row, and what translating raises.
    """
    text = translator.value(expression).sql
    if translator.steps.written:
        raise ConfigurationError(
            "M153", f"{expression!r} needs more than the row itself.", 'Write sql("…") over columns of the target.'
        )
    return text
