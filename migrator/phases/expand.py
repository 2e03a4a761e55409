"""Expand: an Alembic revision adds what the change declares. Its undo is the revision's downgrade."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator.database import inventory, revisions
from migrator.database.connect import Connection
from migrator.database.locks import with_lock_retries
from migrator.database.revisions import RevisionInfo
from migrator.database.session import execute, value
from migrator.ledger import lease, steps
from migrator.ledger.run import Run
from migrator.model.change import Settings
from migrator.model.errors import ConfigurationError, MigratorError, RefusedError
from migrator.model.names import Relation
from migrator.model.step import Phase, Preview
from migrator.model.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRevision:
    """The Step that runs one revision.

    `accepted` says how many rows of each table may be lost by its undo.
    """

    change: str
    info: RevisionInfo
    directory: Path
    parameters: Mapping[str, Any]
    accepted: Mapping[str, int] = field(default_factory=dict)
    phase: Phase = Phase.EXPAND

    @property
    def name(self) -> str:
        """The revision's id."""
        return self.info.id

    @property
    def title(self) -> str:
        """What the revision says of itself."""
        return f"revision {self.info.id}: {self.info.doc or self.info.path.name}"

    def preview(self) -> Preview:
        """Give the SQL, and the tables in use it locks."""
        sql = self._sql
        touched = ", ".join(str(one) for one in revisions.tables_locked(sql))
        return Preview(
            sql=(sql,),
            locks=f"SHARE ROW EXCLUSIVE on {touched}" if touched else "none on tables in use",
            blocks=f"writers of {touched} while it waits" if touched else "",
        )

    @property
    def makes(self) -> tuple[Relation, ...]:
        """The tables it creates."""
        return revisions.tables_made(self._sql)

    @property
    def no_way_back(self) -> str:
        """Why its undo would undo nothing; empty where there is a downgrade that does something.

        One that cannot be read without a database is taken for one that works.
        """
        try:
            back = revisions.offline_sql(self.directory, self.change, self.info.id, self.parameters, "down")
        except MigratorError as error:
            missing = error.id == "M206" or isinstance(error.__cause__, NotImplementedError)
            return "its downgrade is not written" if missing else ""
        return "" if revisions.says_something(back) else "its downgrade does nothing"

    def refuse_no_way_back(self) -> None:
        """Raise ConfigurationError M206 where the undo would undo nothing."""
        if self.no_way_back:
            raise ConfigurationError(
                "M206",
                f"{self.title} cannot be undone: {self.no_way_back}.",
                f"Write downgrade() in {self.info.path}: it must take away what upgrade() made. Or go back as far as"
                f" before it: migrator rollback {self.change} --to expand",
            )

    @property
    def _sql(self) -> str:
        return revisions.offline_sql(self.directory, self.change, self.info.id, self.parameters)

    def apply(self, run: Run) -> dict[str, int]:
        """Run it and record it in one transaction which holds the lease.

        A table in the way is adopted or refused before (`migrator.phases.adopt`), never overwritten.
        """

        def record(conn: Connection) -> None:
            lease.check(conn, run.lease)
            steps.finish(conn, run.lease, Phase.EXPAND, self.name, undo={"revision": self.info.digest})

        self._retrying(run, revisions.upgrade, record)
        return {}

    def check(self, conn: Connection) -> Verdict:
        """Say whether the version table has it."""
        done = self.info.id in revisions.applied(conn, revisions.declared(self.directory, self.change))
        return Verdict(
            claim=f"revision {self.info.id} is applied",
            proven=done,
            evidence="the version table has it" if done else "the version table does not have it",
        )

    def undo(self, run: Run) -> dict[str, int]:
        """Downgrade, after counting under lock that no row is lost but those accepted by name.

        Raises RefusedError M412 when the application wrote since they were counted.
        """

        def guard(conn: Connection) -> None:
            lease.check(conn, run.lease)
            for table in self.makes:
                self._refuse_loss(conn, table)
            steps.forget(conn, self.change, Phase.EXPAND, self.name)

        self._retrying(run, revisions.downgrade, guard)
        return {}

    def _refuse_loss(self, conn: Connection, made: Relation) -> None:
        execute(conn, f"LOCK TABLE {made.sql} IN ACCESS EXCLUSIVE MODE")
        rows, accepted = int(value(conn, f"SELECT count(*) FROM {made.sql}")), self.accepted.get(str(made), 0)
        if rows > accepted:
            raise RefusedError(
                "M412",
                f"{made} holds {rows:,} rows which are not ours to drop; {accepted:,} were accepted.",
                f"Look again: migrator rollback {self.change} counts them anew.",
            )

    def in_the_way(self, conn: Connection) -> tuple[Relation, ...]:
        """List the tables it would create that are there already."""
        return tuple(one for one in self.makes if inventory.table(conn, one) is not None)

    def _retrying(self, run: Run, act: Callable[..., None], guard: Callable[[Connection], None]) -> None:
        settings = next(iter(run.change.settings.values()), Settings())

        def once() -> None:
            act(
                run.database,
                self.directory,
                self.change,
                self.info.id,
                self.parameters,
                settings.lock_timeout_ms,
                guard,
            )

        with_lock_retries(
            once,
            doing=f"running {self.title}",
            tries=settings.lock_tries,
            relations=[*revisions.tables_locked(self._sql), *self.makes],
            connect=run.database.connect,
        )
