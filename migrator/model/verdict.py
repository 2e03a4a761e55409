"""Verdict and Balance: what is proven, and where every row is. Values, never raised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

VerdictKind = Literal["altered", "stale", "lost", "extra", "doubled", "pending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDifference:
    """One column of one row: what it is, and what the Projection says it should be."""

    column: str
    found: str | None
    expected: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVerdict:
    """A row that is not as declared: its keys by name, and why.

    `source_key` and `target_key` are empty where that side has no row.
    """

    kind: VerdictKind
    source_key: Mapping[str, str] = field(default_factory=dict)
    target_key: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    columns: tuple[ColumnDifference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The proof of one backfill, row by row in both directions.

    `counts` holds how many rows of each kind there are; `rows` names the first of them. `handed_over` counts rows that
    are the application's since they were written, and are not compared.
    """

    backfill: str
    source: str
    target: str
    compared: int
    counts: Mapping[str, int]
    rows: tuple[RowVerdict, ...]
    foreign: int
    seconds: float
    handed_over: int = 0

    @property
    def proven(self) -> bool:
        """Whether every row is as declared."""
        return not any(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of a Balance: how many rows, and by which rule or fault."""

    disposition: str
    rows: int
    reason: str = ""
    elsewhere: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unaccounted:
    """A source key for which source, Projection, provenance and target disagree, and how."""

    key: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Where every row of one backfill's source is, recomputed from the tables in one snapshot.

    source = moved + merged + skipped + quarantined + dismissed + pending, and unaccounted must be 0. `recorded` is
    False where the backfill never ran, and the terms say what will become of the rows.
    """

    backfill: str
    source: str
    target: str
    source_rows: int
    terms: tuple[Term, ...]
    unaccounted: int = 0
    examples: tuple[Unaccounted, ...] = ()
    foreign: int = 0
    target_rows: int = 0
    flags: Mapping[str, int] = field(default_factory=dict)
    recorded: bool = True
    seconds: float = 0.0

    def rows(self, disposition: str) -> int:
        """Add up the rows of one disposition."""
        return sum(one.rows for one in self.terms if one.disposition == disposition)

    @property
    def closes(self) -> bool:
        """Whether the terms add up to the source and nothing is unaccounted."""
        return self.unaccounted == 0 and sum(one.rows for one in self.terms) == self.source_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBalance:
    """Where every row of a source is over all its backfills: taken at least once, or left behind by name."""

    source: str
    source_rows: int
    taken: int
    left_behind: int
    unaccounted: int
    examples: tuple[Unaccounted, ...] = ()

    @property
    def closes(self) -> bool:
        """Whether every row is taken or left behind by name."""
        return self.unaccounted == 0 and self.taken + self.left_behind == self.source_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectBalance:
    """Where the objects of one name are that rows of a backfill name, recomputed from the tables in one snapshot.

    listed = copied + there + faults + pending, and unaccounted must be 0. `bytes` are those at their targets.
    `unlisted` are objects that the Ledger has though no row names them any more.
    """

    backfill: str
    name: str
    listed: int
    copied: int = 0
    there: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    pending: int = 0
    bytes: int = 0
    unlisted: int = 0

    @property
    def unaccounted(self) -> int:
        """How many have no term, or have one though no row names them."""
        return abs(self.listed - self.copied - self.there - sum(self.faults.values()) - self.pending) + self.unlisted


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A claim, whether it is proven, and the evidence in one sentence."""

    claim: str
    proven: bool
    evidence: str
