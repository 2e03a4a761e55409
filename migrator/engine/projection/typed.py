"""Typed: of what types a definition's values are, as the server says, and how each gets the type of its column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from migrator.engine.projection.casts import Cast, total_cast
from migrator.engine.projection.catalog import Catalog
from migrator.engine.projection.fit import Faults, Subject
from migrator.engine.projection.pieces import Piece
from migrator.engine.projection.translate import Translator
from migrator.model import expressions as ex
from migrator.model.errors import MigratorError
from migrator.model.tables import TypeOf

_NOTHING = TypeOf(oid=0, name="unknown", base="unknown", schema="pg_catalog", kind="p")


@dataclass(frozen=True, slots=True, kw_only=True)
class Typing:
    """Asks for the types of values over the source of a definition, and collects what is wrong with them."""

    subject: Subject
    catalog: Catalog
    faults: Faults

    def described(self, asked: Mapping[str, str], by: Translator) -> list[TypeOf]:
        """Ask for the types of values that a translator wrote; on failure one by one, to name the guilty one."""
        try:
            return self._types(asked.values(), by)
        except MigratorError:
            return [self.described_alone(what, text, by) for what, text in asked.items()]

    def described_alone(self, what: str, text: str, by: Translator) -> TypeOf:
        """Ask for the type of one value, and collect under this name why it has none."""
        try:
            return self._types([text], by)[0]
        except MigratorError as error:
            self.faults.add("M114", f"{what}: {error.what}", error.cure or "Mend the expression.")
            return _NOTHING

    def _types(self, values: Iterable[str], by: Translator) -> list[TypeOf]:
        steps = "\n".join(by.steps.without_rules())
        reads = self.subject.reads or self.subject.source.relation.sql
        asked = f"SELECT {', '.join(values)}\nFROM {reads} AS {by.alias}\n{steps}"
        types = self.catalog.describe(asked)
        if any(isinstance(part, ex.Sql) and part.places for part in self.subject.backfill.parts()):
            self.catalog.plan(asked)
        return types

    def columns(self, pieces: Mapping[str, Piece], rules: Mapping[str, str], by: Translator) -> dict[str, TypeOf]:
        """Ask for the types of the columns' raw values; the rules, asked with them, must be conditions.

        Raises ConfigurationError M114 for what has none.
        """
        asked = {f'column "{name}"': one.sql for name, one in pieces.items()}
        types = self.described({**asked, **rules}, by)
        self.faults.raise_if_any()
        for what, found in zip(rules, types[len(asked) :], strict=True):
            if found.base != "bool":
                self.faults.add("M115", f"{what} gives {found.name}, not a condition.", "Write a boolean expression.")
        self.faults.raise_if_any()
        return dict(zip(pieces, types, strict=False))

    def cast(self, name: str, raw: str, piece: Piece, given: TypeOf) -> Cast:
        """Cast a value to the type of its target column, and collect the fault where there is no way."""
        wanted = self.subject.type_of(name)
        exists = self.catalog.type_exists(wanted)
        if piece.exact:
            return Cast(f"({raw})::{wanted.name}" if exists else f"({raw})::text")
        cast = total_cast(
            raw,
            given,
            wanted,
            context=self.catalog.cast_context(given, wanted),
            input_check=self.catalog.input_check,
            exists=exists,
        )
        if cast is None:
            self.faults.add(
                "M115",
                f'column "{name}" is {wanted.name}, but its expression gives {given.name}.',
                f'Convert it in the definition, for example sql("…::{wanted.name}").',
            )
        return cast or Cast(raw)
