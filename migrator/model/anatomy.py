"""The anatomy of a table: every object of it, each as what it is apart from its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from migrator.model.names import Relation, quote

Kind = Literal[
    "primary key",
    "unique",
    "check",
    "foreign key",
    "exclusion",
    "index",
    "trigger",
    "policy",
    "rule",
    "comment",
    "grant",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column; `used_by` names what keeps its type from being changed."""

    name: str
    type: str
    not_null: bool = False
    default: str | None = None  # of a generated column, its expression
    identity: str = ""  # '' no, 'a' always, 'd' by default
    generated: str = ""  # '' no, 's' stored, 'v' virtual
    collation: str | None = None
    used_by: tuple[str, ...] = ()

    @property
    def ddl(self) -> str:
        """The column as CREATE TABLE writes it."""
        parts = [quote(self.name), self.type]
        if self.collation:
            parts.append(f"COLLATE {self.collation}")
        if self.generated:
            parts.append(f"GENERATED ALWAYS AS ({self.default}){' STORED' if self.generated == 's' else ''}")
        elif self.identity:
            parts.append(f"GENERATED {'ALWAYS' if self.identity == 'a' else 'BY DEFAULT'} AS IDENTITY")
        elif self.default is not None:
            parts.append(f"DEFAULT {self.default}")
        return " ".join([*parts, *(["NOT NULL"] if self.not_null else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An object of a table: `content` is what it is without its name, `create` the statement that makes it.

    `valid` is false for a constraint that is NOT VALID and for an index whose build failed or still runs.
    """

    kind: Kind
    name: str
    content: str
    create: str = ""
    columns: tuple[str, ...] = ()
    references: Relation | None = None
    referenced: tuple[str, ...] = ()
    valid: bool = True
    unique: bool = False
    state: str = ""  # of a trigger: '', DISABLED, ALWAYS, REPLICA
    body: str = ""  # of a trigger: the digest of its function's body

    @property
    def shown(self) -> str:
        """The object in one line."""
        return f"{self.kind} {self.name}: {self.content}" if self.kind != "comment" else f'comment on "{self.name}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """A table with all its objects; `builders` are the processes that build an index of it at this moment."""

    relation: Relation
    kind: str = "r"  # pg_class.relkind: r table, p partitioned
    columns: tuple[Column, ...] = ()
    parts: tuple[Part, ...] = ()
    row_security: bool = False
    forced: bool = False
    owner: str = ""
    has_rows: bool = False
    bytes: int = 0
    builders: tuple[int, ...] = ()

    def column(self, name: str) -> Column | None:
        """Find a column by name."""
        return next((one for one in self.columns if one.name == name), None)

    def of_kind(self, *kinds: Kind) -> tuple[Part, ...]:
        """List the objects of some kinds."""
        return tuple(one for one in self.parts if one.kind in kinds)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key; none where there is none."""
        return next((one.columns for one in self.parts if one.kind == "primary key"), ())

    @property
    def listed(self) -> dict[str, str]:
        """Every object by a name that people understand, with what it is."""
        at = str(self.relation)
        said = {f"column {one.name} of {at}": one.ddl for one in self.columns}
        for one in self.parts:
            said.update(_listed(one, at))
        security = "on" if self.row_security else "off"
        said[f"row security of {at}"] = f"{security}, forced" if self.forced else security
        said[f"owner of {at}"] = self.owner
        return said


def _listed(one: Part, at: str) -> dict[str, str]:
    if one.kind == "comment":
        return {f"comment on column {one.name} of {at}" if one.name else f"comment on {at}": one.content}
    name = f"grants to {one.name} on {at}" if one.kind == "grant" else f"{one.kind} {one.name} of {at}"
    said = {name: one.content if one.valid else f"{one.content} (NOT VALID)"}
    if one.kind == "trigger":
        said |= {f"state of {name}": one.state or "ENABLED", f"function of {name}": one.body}
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A column of an ordinary table that has a type, with its default and the size of its table."""

    relation: Relation
    column: str
    default: str | None
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a revision makes beside tables: a function, a type; without `create`, something we cannot bring over.

    Of an enumeration `labels` are its words, `uses` the columns that have it, and `bound` says what else keeps it from
    being made anew.
    """

    kind: str
    name: str
    content: str
    create: str = ""
    drop: str = ""
    labels: tuple[str, ...] = ()
    uses: tuple[Use, ...] = field(default=(), compare=False)
    bound: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What one revision declares, as the scratch server showed it.

    `made` are the tables it makes and `altered` those it changes, as they are after it; `before` is what was changed,
    and `final` how they all are after the last revision.
    """

    made: tuple[Anatomy, ...] = ()
    altered: tuple[Anatomy, ...] = ()
    before: tuple[Anatomy, ...] = ()
    final: tuple[Anatomy, ...] = ()
    beside: tuple[Beside, ...] = field(default=())
