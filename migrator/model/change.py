"""Change: one documented schema change, as `migrator.toml` and the definitions beside it describe it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from migrator.model.backfill import Backfill
from migrator.model.parameters import Arguments

Foreign = Literal["count", "fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a backfill is run; what may differ between runs without changing its outcome.

    `batch_rows`: rows of one transaction. `range_rows`: rows of one Range. `workers`: connections copying at once.
    `lock_timeout_ms`: how long a statement waits for a lock. `quarantine_limit`: open quarantined rows after which
    the copy stops; None for no limit. `trickle_ms`: how long a copy for which there is no room waits before it looks
    again; None ends it. `object_workers`: objects copied at once; `objects_per_second` and `object_bytes_per_second`
    are limits, None is none.
    """

    batch_rows: int = 10_000
    range_rows: int = 100_000
    workers: int = 1
    lock_timeout_ms: int = 2_000
    lock_tries: int = 20
    quarantine_limit: int | None = None
    trickle_ms: int | None = None
    object_workers: int = 16
    objects_per_second: float | None = None
    object_bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Which sources get which other name when nobody needs them any more, and how long they are kept at least."""

    tables: Mapping[str, str] = field(default_factory=dict)
    keep: timedelta = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One documented schema change: its revisions (by branch label), its backfills, its parameters.

    `foreign` says whether rows of a target without provenance are a fault (nobody else writes it) or a count.
    `left_out` are the backfills that a parameter leaves out. `checks` are SQL that must return no row, `index_checks`
    queries that must be able to use an index, by their names. `archive` names the sources that are put away in the end,
    `consumers` who must have moved to the new tables before.
    """

    name: str
    title: str = ""
    guide: str = ""
    database: str = "default"
    foreign: Foreign = "count"
    backfills: tuple[Backfill, ...] = ()
    left_out: tuple[Backfill, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    index_checks: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Settings] = field(default_factory=dict)
    arguments: Arguments = field(default_factory=Arguments)
    archive: Archive = field(default_factory=Archive)
    consumers: Mapping[str, str] = field(default_factory=dict)

    def backfill(self, name: str) -> Backfill | None:
        """Find a backfill by name."""
        return next((one for one in self.backfills if one.name == name), None)

    def told(self, backfill: Backfill) -> str:
        """Say from where to where a backfill goes, and by its name where another one goes the same way."""
        of = "in place" if backfill.in_place else f"← {backfill.source}"
        ways = [(one.source, one.target) for one in self.backfills]
        name = f": {backfill.name}" if ways.count((backfill.source, backfill.target)) > 1 else ""
        return f"{backfill.target} {of}{name}"

    def settings_of(self, backfill: Backfill) -> Settings:
        """Give the settings of one backfill."""
        return self.settings.get(backfill.name, Settings())

    @property
    def sources(self) -> tuple[str, ...]:
        """The distinct sources in declared order."""
        return tuple(dict.fromkeys(one.source for one in self.backfills))

    @property
    def targets(self) -> tuple[str, ...]:
        """The distinct targets in declared order."""
        return tuple(dict.fromkeys(one.target for one in self.backfills))

    def arguments_of(self, backfill: Backfill) -> Arguments:
        """Give the arguments which one backfill reads; how fast it may go is none of them."""
        names = backfill.parameters(pacing=False)
        return Arguments(
            scalars={name: one for name, one in self.arguments.scalars.items() if name in names},
            files={name: one for name, one in self.arguments.files.items() if name in names},
        )

    def definition_digest(self, backfill: Backfill) -> str:
        """Digest a definition together with the arguments it reads: sha256, hexadecimal."""
        text = "\n".join([backfill.facts(), *self.arguments_of(backfill).digest_lines()])
        return hashlib.sha256(text.encode()).hexdigest()

    def checks_digest(self) -> str:
        """Digest the checks by name and text: sha256, hexadecimal."""
        text = repr([sorted(self.checks.items()), sorted(self.index_checks.items())])
        return hashlib.sha256(text.encode()).hexdigest()
