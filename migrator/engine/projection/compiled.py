"""Compiled: what a Backfill compiles to. The parts of every layer as SQL, what codes and marks stand for, and names.

Nothing is put together here: the layers do that (layers.py, fate.py), and the Projection (projection.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from migrator.engine.projection.awaited import Awaited
from migrator.engine.projection.grouping import Grouping
from migrator.engine.projection.images import digest, likeness
from migrator.engine.projection.merging import Fold, recognition
from migrator.engine.projection.moving import Moving
from migrator.engine.projection.pieces import Outcome
from migrator.model.backfill import Backfill
from migrator.model.names import RESERVED, ours, quote
from migrator.model.tables import Table, TableColumn

CODE, DETAIL, MARKS, DIGEST = f"{RESERVED}code", f"{RESERVED}detail", f"{RESERVED}marks", f"{RESERVED}digest"
RULE, FAULT = f"{RESERVED}rule", f"{RESERVED}fault"  # the code of a rule, and that of a fault of the row by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A condition over the cast row under which it cannot move, with its code.

    One that is `awaited` is judged only where asked for, for it reads what earlier backfills will bring.
    """

    code: int
    when: str
    awaited: Awaited | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contested:
    """A unique key of the target that two source rows could share: the first by source key holds it."""

    code: int
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A compiled Backfill.

    `outcomes` and `mark_names` are what the codes stand for; marks count from 1. `excluding` is a condition on source
    rows that holds for all that are looked at.
    """

    backfill: Backfill
    source: Table
    target: Table
    outcomes: tuple[Outcome, ...]
    mark_names: tuple[str, ...]
    raw_steps: tuple[str, ...]
    raw_values: tuple[tuple[str, str], ...]
    cast_values: tuple[tuple[str, str], ...]
    judgements: tuple[Judgement, ...]
    contested: tuple[Contested, ...]
    target_exists: bool
    grouping: Grouping | None = None
    cannot: int = 0  # the code of a row whose winner could not move
    folds: tuple[Fold, ...] = ()
    served: bool = False  # an index of the target finds the rows that one may merge with
    ambiguous: int = 0  # the code of a row that several rows of the target match
    taken: int = 0  # the code of a row whose row of the target another source row is merged into
    recorded: int | None = None  # the backfill's number in the Ledger, once it ran
    provenances: tuple[str, ...] = ()
    excluding: str = "true"
    reads: str = ""
    moving: tuple[Moving, ...] = ()  # the objects that are wanted
    gates: tuple[int, ...] = ()  # the codes of rows whose objects are not there
    foresees: bool = False  # objects that nobody copied yet are no fault
    written: tuple[Moving, ...] = ()  # the documents that are wanted, and the steps that they alone need
    written_steps: tuple[str, ...] = ()
    left_unread: tuple[str, ...] = ()
    not_known_yet: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # columns, and the backfills they await

    @property
    def keys(self) -> tuple[TableColumn, ...]:
        """The source key's columns as the catalog has them."""
        return tuple(_known(self.source, name) for name in self.backfill.keys)

    @property
    def identity(self) -> tuple[TableColumn, ...]:
        """The target identity's columns."""
        return tuple(_known(self.target, name) for name in self.backfill.identities)

    @property
    def columns(self) -> tuple[TableColumn, ...]:
        """The target columns that are filled, in declared order."""
        return tuple(_known(self.target, name) for name in self.backfill.columns)

    @property
    def compared(self) -> tuple[TableColumn, ...]:
        """The target columns a digest covers."""
        return tuple(_known(self.target, name) for name in self.backfill.compared)

    @property
    def recognised(self) -> tuple[TableColumn, ...]:
        """The target columns that are compared of a merged row: merge, or else identity; in place nothing merges."""
        names = () if self.backfill.in_place else self.backfill.merges or self.backfill.identities
        return tuple(_known(self.target, name) for name in names)

    def recognition(self, of: str) -> str:
        """Write the digest of what is compared of a merged row."""
        return recognition(self.folds, of) if self.folds else digest(self.recognised, of=of, by=likeness)

    @property
    def finds_out_by_inserting(self) -> bool:
        """Whether a plain insert fails where a row of the application is in the way, so that none need be looked up."""
        merges = self.backfill.merges
        plain = not self.folds and not self.moving and not self.backfill.in_place
        return plain and (not merges or self.target.unique_over(merges) is not None)

    @property
    def is_ruled(self) -> bool:
        """Whether there are skip or quarantine rules."""
        return bool(self.backfill.skip or self.backfill.quarantine)

    @property
    def source_alias(self) -> str:
        """The name under which a `where` sees the source row."""
        return quote(self.source.relation.name)

    @property
    def target_alias(self) -> str:
        """The name under which judgements see the cast row: that of the target, for a CHECK may name it."""
        return quote(self.target.relation.name)

    def key_columns(self, of: str = "") -> list[str]:
        """List the Projection's own key columns, quoted."""
        return _numbered("k", len(self.keys), of)

    def into_columns(self, of: str = "") -> list[str]:
        """List the columns that hold the identity of the row merged into, quoted."""
        return _numbered("into", len(self.identity), of)

    def winner_columns(self, of: str = "") -> list[str]:
        """List the columns that hold the key of a row's winner, quoted; without groups there are none."""
        return _numbered("winner", len(self.keys) if self.grouping is not None else 0, of)

    def identity_columns(self, of: str) -> list[str]:
        """List the columns that hold the target identity, quoted: in place it is the key, which is not written."""
        if self.backfill.in_place:
            return self.key_columns(of)
        return [f"{of}.{quote(one.name)}" for one in self.identity]

    def source_keys(self, of: str) -> list[str]:
        """List the key columns as the source has them, quoted."""
        return [f"{of}.{quote(one.name)}" for one in self.keys]

    def outcome(self, code: int) -> Outcome:
        """Say what a code stands for."""
        return self.outcomes[code]

    def codes(self, disposition: str) -> tuple[int, ...]:
        """List the codes of one Disposition."""
        return tuple(code for code, one in enumerate(self.outcomes) if one.disposition == disposition)


def _numbered(word: str, many: int, of: str) -> list[str]:
    prefix = f"{of}." if of else ""
    return [f"{prefix}{ours(f'{word}{n}')}" for n in range(1, many + 1)]


def _known(table: Table, name: str) -> TableColumn:
    found = table.column(name)
    assert found is not None  # compile_backfill refuses a definition that names another column
    return found
