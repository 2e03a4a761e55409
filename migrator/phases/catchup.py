"""Catch up: rows moved before follow their source rows. Its undo is that of the copy: these rows are ours as before."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.database.connect import Connection
from migrator.database.explaining import explained
from migrator.engine.catchup import CatchUp
from migrator.engine.prepare import record_definition
from migrator.ledger.run import Run
from migrator.model.backfill import Backfill
from migrator.model.change import Change
from migrator.model.step import Event, Phase, Preview
from migrator.model.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchUpRows:
    """The Step that brings moved rows up to date whose source rows changed since. Its undo is that of the copy."""

    change: Change
    backfill: Backfill
    search_path: str
    phase: Phase = Phase.BACKFILL

    @property
    def name(self) -> str:
        """The backfill's name."""
        return self.backfill.name

    @property
    def title(self) -> str:
        """From where to where."""
        return f"{self.change.told(self.backfill)}, rows changed since"

    def preview(self) -> Preview:
        """Say that it takes row locks of its own rows only."""
        return Preview(locks="none")

    def apply(self, run: Run) -> dict[str, int]:
        """Update what is still as we wrote it; what the application changed is left alone."""
        with explained(f"bringing {self.backfill.target} up to date", run.database.connect):
            with run.database.connect() as conn:
                writing = record_definition(run, conn, self.change, self.backfill, self.search_path)
            catch_up = CatchUp(
                database=run.database,
                lease=run.lease,
                writing=writing,
                settings=self.change.settings_of(self.backfill),
            )
            updated = 0
            for number in catch_up.run():
                updated += number
                run.listen(Event(kind="progress", phase=self.phase, name=self.name, title=self.title, rows=updated))
        return {"updated": updated} if updated else {}

    def check(self, conn: Connection) -> Verdict:
        """Leave the verdict to verify, which compares every row."""
        del conn
        return Verdict(claim=self.title, proven=False, evidence="verify compares them")

    def undo(self, run: Run) -> dict[str, int]:
        """Do nothing: undoing the copy takes these rows too."""
        del run
        return {}
