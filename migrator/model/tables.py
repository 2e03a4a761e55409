"""Tables as the catalog describes them: plain values, the same for a live database and a scratch server."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.model.names import Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeOf:
    """A type as the catalog names it; `name` is format_type() with modifiers, always schema-qualified where needed."""

    oid: int
    name: str
    base: str  # the type's own name without modifiers, e.g. "pg_catalog.varchar" -> "varchar"
    schema: str
    kind: str  # pg_type.typtype: b base, e enum, d domain, c composite, r range, m multirange, p pseudo
    modifier: int = -1
    element: str | None = None  # of an array: the element type's base name
    labels: tuple[str, ...] = ()  # of an enum, in order
    under: str | None = None  # of a domain: the innermost type's own name
    moments: bool = False  # whether a date or time is in it somewhere, so that 'now' could be read from a text

    @property
    def builtin(self) -> bool:
        """Whether the type comes with every server."""
        return self.schema == "pg_catalog"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """One column: its type, and what the catalog says of NULL, defaults and generation."""

    name: str
    type: TypeOf
    not_null: bool = False
    default: str | None = None
    identity: str = ""  # '' no, 'a' always, 'd' by default
    generated: str = ""  # '' no, 's' stored, 'v' virtual
    collation: str | None = None  # qualified and quoted, where it is not the type's own
    collates: str | None = None  # the collation, qualified and quoted; None where values have no order of letters
    deterministic: bool = True  # of the collation
    comment: str | None = None

    @property
    def fills_itself(self) -> bool:
        """Whether an insert may leave the column out although it is NOT NULL."""
        return self.default is not None or bool(self.identity) or bool(self.generated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """A unique index over plain columns."""

    name: str
    columns: tuple[str, ...]
    primary: bool = False
    partial: bool = False
    deferrable: bool = False
    nulls_not_distinct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A CHECK constraint, its expression as the catalog prints it, over the columns named."""

    name: str
    expression: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A foreign key of the table."""

    name: str
    columns: tuple[str, ...]
    references: Relation
    referenced_columns: tuple[str, ...]
    collations: tuple[str | None, ...] = ()  # of what is pointed at, where the column that points has another one
    on_delete: str = "a"  # a no action, r restrict, c cascade, n set null, d set default
    deferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger of the table, with pg_get_triggerdef()."""

    name: str
    definition: str
    on_insert: bool = False
    on_update: bool = False
    update_of: tuple[str, ...] = ()  # the columns whose update fires it; none is all
    before: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A row security policy."""

    name: str
    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A relation with everything the engine asks about it."""

    relation: Relation
    kind: str  # pg_class.relkind: r table, p partitioned, v view, m materialised view, f foreign
    columns: tuple[TableColumn, ...]
    uniques: tuple[Unique, ...] = ()
    checks: tuple[Check, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    referenced_by: tuple[ForeignKey, ...] = ()  # inbound: `references` is then the table that points here
    triggers: tuple[Trigger, ...] = ()
    indexes: tuple[str, ...] = ()  # pg_get_indexdef(), for comparison and display
    policies: tuple[Policy, ...] = ()
    row_security: bool = False
    rules: tuple[str, ...] = ()  # rewrite rules for INSERT, UPDATE or DELETE
    heirs: tuple[str, ...] = ()  # tables that inherit from it, partitions apart
    estimated_rows: int = 0
    bytes: int = 0
    comment: str | None = None
    oid: int = 0

    @property
    def vouches(self) -> bool:
        """Whether a unique key of it holds for all rows that a SELECT gives."""
        return self.kind in {"r", "p"} and not self.heirs

    def column(self, name: str) -> TableColumn | None:
        """Find a column by name."""
        return next((one for one in self.columns if one.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The column names in table order."""
        return tuple(one.name for one in self.columns)

    def unique_over(self, columns: tuple[str, ...]) -> Unique | None:
        """Find a full unique index over exactly these columns, in any order."""
        wanted = set(columns)
        uniques = self.uniques if self.vouches else ()
        found = (one for one in uniques if set(one.columns) == wanted and not one.partial)
        return next(found, None)
