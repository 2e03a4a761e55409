"""Steps, Plans and Reports: what is to be done, what was done, and what is true now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from migrator.model.verdict import Balance, Comparison, ObjectBalance, SourceBalance, Verdict


class Phase(StrEnum):
    """The phases of a change's life, in order."""

    EXPAND = "expand"
    BACKFILL = "backfill"
    VERIFY = "verify"
    SWITCH = "switch"
    ARCHIVE = "archive"
    DROP = "drop"

    @property
    def place(self) -> int:
        """The place in the order of phases, from 0."""
        return list(Phase).index(self)


class State(StrEnum):
    """The state of a change, derived from catalog and Ledger, never stored."""

    NEW = "new"
    EXPANDING = "expanding"
    EXPANDED = "expanded"
    COPYING = "copying"
    COPIED = "copied"
    VERIFIED = "verified"
    ARCHIVED = "archived"
    UNDOING = "undoing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a Step would do: its SQL, the locks it takes, and whom they block."""

    sql: tuple[str, ...] = ()
    locks: str = "none"
    blocks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """Something dangerous in a Step or definition: what it blocks or loses, and the cure in the user's own names."""

    id: str
    what: str
    cure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A Step of a Plan: its phase, what it does, on how many rows, and what it would take. `done` is nothing to do."""

    phase: Phase
    name: str
    title: str
    rows: int | None = None
    done: bool = False
    preview: Preview = field(default_factory=Preview)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The ordered Steps of a change with what is known before any is taken. Making it changes nothing.

    `balances` foretell where each row will go; `unread` names source columns nobody reads, `reads` what is
    read besides the source, by backfill. `moving` says from where to where objects go, and of what documents are made.
    """

    change: str
    title: str
    guide: str
    database: str
    server: str
    state: State
    steps: tuple[PlannedStep, ...]
    balances: tuple[Balance, ...] = ()
    sources: tuple[SourceBalance, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_behind: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unread: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    moving: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    undo: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bytes_needed: int | None = None
    dry_run: bool = False

    @property
    def pending(self) -> tuple[PlannedStep, ...]:
        """The Steps that `apply` has still to take; archive and what comes after it have verbs of their own."""
        return tuple(one for one in self.steps if not one.done and one.phase.place <= Phase.VERIFY.place)

    @property
    def rows_pending(self) -> int:
        """How many rows are still to be moved, merged or quarantined."""
        return sum(one.rows or 0 for one in self.pending if one.phase is Phase.BACKFILL)


EventKind = Literal["step", "progress", "done", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happens while Steps are taken: a Step begins, comes on, or ends. `rows` count from the Step's beginning.

    `unit` says what is counted; of objects, `bytes` are those that were copied.
    """

    kind: EventKind
    phase: Phase
    name: str
    title: str = ""
    rows: int = 0
    total: int | None = None
    detail: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    unit: Literal["row", "object"] = "row"
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One Step that was taken: how many rows it dealt with, by what became of them."""

    phase: Phase
    name: str
    title: str
    rows: int = 0
    detail: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Rows that wait because so many as may be are open: `rows` of one backfill, with `open` rows of its target."""

    backfill: str
    target: str
    rows: int
    open: int

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        return f"{self.backfill}: {self.open:,} rows of {self.target} are open, {self.rows:,} wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verb did and what is true now. `proven` is None where nothing was to be proven.

    `waiting` are rows that a later run hands over, when there is room for them.
    """

    change: str
    verb: str
    database: str
    state: State
    steps: tuple[StepReport, ...] = ()
    balances: tuple[Balance, ...] = ()
    sources: tuple[SourceBalance, ...] = ()
    objects: tuple[ObjectBalance, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    notes: tuple[str, ...] = ()
    next: tuple[str, ...] = ()

    @property
    def nothing_done(self) -> bool:
        """Whether there was nothing to do."""
        return not self.steps

    @property
    def proven(self) -> bool | None:
        """Whether everything claimed is proven; None where nothing was claimed."""
        return all(one.proven for one in self.verdicts) if self.verdicts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What a rollback would lose in one target: the application's own rows, and ours that it changed since.

    `target` is a table, or with `unit` "value" a column that goes from a table which stays.
    `cascades` are rows of other tables that go, or change, with ours; `held` rows of others that keep ours from going.
    `examples` are the first keys by cause: `foreign`, `changed`, or the other table.
    """

    target: str
    foreign: int = 0
    changed: int = 0
    cascades: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unit: Literal["row", "value"] = "row"

    @property
    def rows(self) -> int:
        """How many rows in all would be lost, or values."""
        return self.foreign + self.changed + sum(self.cascades.values())

    @property
    def sentence(self) -> str:
        """The words by which the loss is accepted."""
        return f"{self.rows} {self.unit}{'' if self.rows == 1 else 's'} of {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One reason why something is refused: its id, what is so, and the cure."""

    id: str
    what: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Who reads or writes the tables of a change, and on which side: `old`, `both` or `new`."""

    name: str
    what: str = ""
    side: str = "old"
    note: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeStatus:
    """One line of status."""

    change: str
    state: State
    since: str | None = None
    rows: int = 0
    total: int | None = None
    quarantined: int = 0
    holder: str | None = None
    reasons: tuple[str, ...] = ()
    next: str = ""
