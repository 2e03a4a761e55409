"""A run of a change, and the Step: the one type everything is a kind of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from migrator.database.connect import Connection, Database
from migrator.database.session import transaction
from migrator.ledger import lease
from migrator.ledger.lease import Lease
from migrator.model.change import Change
from migrator.model.step import Event, Phase, Preview, Waiting
from migrator.model.verdict import Verdict

Listen = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: the change, its database, the lease it holds, and who listens to what happens.

    `waiting` and `said` are what its Steps leave to be reported: rows for which there was no room, and notes.
    """

    change: Change
    database: Database
    lease: Lease
    listen: Listen
    waiting: list[Waiting] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @contextmanager
    def writing(self, conn: Connection, **settings: Any) -> Iterator[Connection]:
        """Open a transaction that holds the lease row, so that nothing is written by a run that lost it."""
        path = self.database.search_path
        with transaction(conn, search_path=path, reconnect=self.database.connect, **settings):
            lease.check(conn, self.lease)
            yield conn


class Step(Protocol):
    """One act of one Phase. Do, check and undo of it stand together.

    `apply` and `undo` may be killed at any instant and run again; both return how many rows they dealt with, by what
    became of them.
    """

    @property
    def phase(self) -> Phase:
        """The Phase it belongs to."""

    @property
    def name(self) -> str:
        """Its name, unique in the Phase of a change."""

    @property
    def title(self) -> str:
        """What it does, for people."""

    def preview(self) -> Preview:
        """Say what it would do."""

    def apply(self, run: Run) -> dict[str, int]:
        """Do it."""

    def check(self, conn: Connection) -> Verdict:
        """Say whether it is done."""

    def undo(self, run: Run) -> dict[str, int]:
        """Undo it."""
