"""Expand: an Alembic revision adds what the change declares. Its undo is the revision's downgrade."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from migrator.database import concurrently, ddl, inventory, revisions
from migrator.database.columns import columns_there
from migrator.database.connect import Connection
from migrator.database.locks import with_lock_retries
from migrator.database.revision_files import Narrowing, RevisionInfo, declared
from migrator.database.revision_indexes import building, index_name
from migrator.database.session import execute, value
from migrator.engine.lost import values
from migrator.ledger import lease, replaced, steps
from migrator.ledger.run import Run
from migrator.model.change import Settings
from migrator.model.commands import again, command
from migrator.model.errors import ConfigurationError, MigratorError, RefusedError
from migrator.model.names import Relation
from migrator.model.step import Event, Phase, Preview
from migrator.model.verdict import Verdict

BLOCKS: Final = {
    "SHARE": "writers",
    "SHARE ROW EXCLUSIVE": "writers",
    "ACCESS EXCLUSIVE": "readers and writers",
}


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
        touched: dict[str, list[str]] = {}
        for table, lock in ddl.locks(sql).items():
            touched.setdefault(lock, []).append(str(table))
        blocked = [f"{BLOCKS[lock]} of {', '.join(names)}" for lock, names in touched.items() if lock in BLOCKS]
        return Preview(
            sql=(sql,),
            locks="; ".join(f"{lock} on {', '.join(names)}" for lock, names in touched.items())
            or "none on tables in use",
            blocks=f"{' and '.join(blocked)} while it waits" if blocked else "",
        )

    @property
    def makes(self) -> tuple[Relation, ...]:
        """The tables it creates."""
        return ddl.tables_made(self._sql)

    @property
    def alters(self) -> tuple[Relation, ...]:
        """The tables in use that it alters."""
        return ddl.tables_altered(self._sql)

    @property
    def drops(self) -> tuple[tuple[Relation, str], ...]:
        """The columns that its undo drops, as far as its text says; those of tables that go as well are among them."""
        try:
            back = revisions.offline_sql(self.directory, self.change, self.info.id, self.parameters, "down")
        except MigratorError:
            return ()
        return ddl.columns_dropped(back)

    @property
    def alters_types(self) -> bool:
        """Whether a type in use gets other words, and with it any table."""
        return re.search(r"\bALTER\s+TYPE\b", self._sql, re.IGNORECASE) is not None

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
        return "" if ddl.says_something(back) else "its downgrade does nothing"

    def refuse_no_way_back(self) -> None:
        """Raise ConfigurationError M206 where the undo would undo nothing."""
        if self.no_way_back:
            raise ConfigurationError(
                "M206",
                f"{self.title} cannot be undone: {self.no_way_back}.",
                f"Write downgrade() in {self.info.path}: it must take away what upgrade() made. Or go back as far as"
                f" before it: {command('rollback', self.change, '--to', 'expand')}",
            )

    @property
    def _sql(self) -> str:
        return revisions.offline_sql(self.directory, self.change, self.info.id, self.parameters)

    def apply(self, run: Run) -> dict[str, int]:
        """Run it and record it in one transaction which holds the lease.

        A table in the way is adopted or refused before (`migrator.phases.adopt`), never overwritten. Indexes that the
        revision wants CONCURRENTLY are built before, in no transaction. Raises RefusedError M235 for one in the way.
        """
        self._build_indexes(run)

        def record(conn: Connection) -> None:
            lease.check(conn, run.lease)
            steps.finish(conn, run.lease, Phase.EXPAND, self.name, undo={"revision": self.info.digest})

        self._retrying(run, revisions.upgrade, record)
        return {}

    def check(self, conn: Connection) -> Verdict:
        """Say whether the version table has it."""
        done = self.info.id in revisions.applied(conn, declared(self.directory, self.change))
        return Verdict(
            claim=f"revision {self.info.id} is applied",
            proven=done,
            evidence="the version table has it" if done else "the version table does not have it",
        )

    def undo(self, run: Run) -> dict[str, int]:
        """Downgrade, after counting under lock that no row and no value is lost but those accepted by name.

        Values that the downgrade replaces are kept in the Ledger. One that only began to build indexes is undone by
        dropping these. Raises RefusedError M412 when the application wrote since they were counted, ConfigurationError
        M461 when a column goes of which the downgrade's text says nothing.
        """
        with run.database.connect() as conn:
            if not self.check(conn).proven:
                self._forget_unapplied(run, conn)
                return {}

        def guard(conn: Connection) -> Callable[[], None]:
            lease.check(conn, run.lease)
            for table in self.makes:
                self._refuse_loss(conn, table)
            for narrowing in self.info.narrows:
                self._keep_values(run, conn, narrowing)
            foreseen = self._refuse_values(conn, run.database.search_path)
            before = columns_there(conn)
            steps.forget(conn, self.change, Phase.EXPAND, self.name)
            return lambda: self._refuse_unforeseen(conn, before, foreseen)

        self._retrying(run, revisions.downgrade, guard)
        return {}

    def _refuse_loss(self, conn: Connection, made: Relation) -> None:
        execute(conn, f"LOCK TABLE {made.sql} IN ACCESS EXCLUSIVE MODE")
        whole = (made, *inventory.parents(conn, [made]).get(made, ()))  # rows of a partition are rows of its table
        accepted = max(self.accepted.get(str(one), 0) for one in whole)
        rows = int(value(conn, f"SELECT count(*) FROM {made.sql}"))
        if rows > accepted:
            raise RefusedError(
                "M412",
                f"{made} holds {rows:,} rows which are not ours to drop; {accepted:,} were accepted.",
                f"Look again: {again('rollback', self.change)} counts them anew.",
            )

    def _refuse_values(self, conn: Connection, search_path: str) -> set[tuple[Relation, str]]:
        """Count the values of columns that go, under lock; says which columns these are."""
        named = [(inventory.find(conn, str(relation), search_path), name) for relation, name in self.drops]
        found = {(relation, name) for relation, name in named if relation is not None}
        tables = inventory.tables(conn, {relation for relation, _ in found})
        for relation, name in sorted(found):
            if relation in self.makes or tables[relation].column(name) is None:
                continue
            execute(conn, f"LOCK TABLE {relation.sql} IN ACCESS EXCLUSIVE MODE")
            target = f"{relation}.{name}"
            lost, accepted = values(conn, tables[relation], name, (), 1).rows, self.accepted.get(target, 0)
            if lost > accepted:
                held = f"{lost:,} value{'' if lost == 1 else 's'}"
                raise RefusedError(
                    "M412",
                    f"{target} holds {held} which are not ours to drop; {accepted:,} were accepted.",
                    f"Look again: {again('rollback', self.change)} counts them anew.",
                )
        return found

    def _refuse_unforeseen(
        self,
        conn: Connection,
        before: Mapping[tuple[int, int], tuple[Relation, str]],
        foreseen: Collection[tuple[Relation, str]],
    ) -> None:
        after = columns_there(conn)
        stay = {oid for oid, _ in after}
        gone = [one for (oid, at), one in before.items() if (oid, at) not in after and oid in stay]
        if unknown := sorted({f"{relation}.{name}" for relation, name in gone if (relation, name) not in foreseen}):
            raise ConfigurationError(
                "M461",
                f"{self.title}: its downgrade drops {', '.join(unknown)}, which its text does not say, so that nobody"
                " counted what is lost.",
                f"Write it in {self.info.path} as ALTER TABLE … DROP COLUMN …, under the name it has before.",
            )

    def _keep_values(self, run: Run, conn: Connection, narrowing: Narrowing) -> None:
        """Count under lock the rows that lose their value, and remember what it was."""
        execute(conn, f"LOCK TABLE {narrowing.relation.sql} IN ACCESS EXCLUSIVE MODE")
        number = replaced.keep(conn, run.lease.run, self.change, narrowing)
        accepted = self.accepted.get(narrowing.what, 0)
        if number > accepted:
            raise RefusedError(
                "M412",
                f"{number:,} rows of {narrowing.what} would become {narrowing.becomes}; {accepted:,} were accepted.",
                f"Look again: {again('rollback', self.change)} counts them anew.",
            )

    def _build_indexes(self, run: Run) -> None:
        """Build what the revision wants CONCURRENTLY; what a run that was killed built is found again."""
        if not self.info.concurrent_indexes:
            return
        with run.database.connect() as conn:
            if steps.one_of(conn, self.change, Phase.EXPAND, self.name) is None:
                self._refuse_indexes(conn)
                with run.writing(conn):
                    steps.begin(conn, run.lease, Phase.EXPAND, self.name)
        for statement in self.info.concurrent_indexes:
            concurrently.build(
                run.database,
                building(statement),
                index_name(statement),
                tries=self._settings(run).lock_tries,
                note=lambda said: run.listen(Event(kind="note", phase=self.phase, name=self.name, title=said)),
            )

    def _refuse_indexes(self, conn: Connection) -> None:
        for name in map(index_name, self.info.concurrent_indexes):
            if value(conn, "SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (name,)):
                raise RefusedError(
                    "M235",
                    f"{self.title}: {name} is there already, and nobody recorded who made it.",
                    f"Drop it or rename it, and run the same command again:    DROP INDEX CONCURRENTLY {name};",
                )

    def _forget_unapplied(self, run: Run, conn: Connection) -> None:
        for name in map(index_name, self.info.concurrent_indexes):
            statement = f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
            concurrently.run(run.database, statement, tries=self._settings(run).lock_tries)
        with run.writing(conn):
            steps.forget(conn, self.change, Phase.EXPAND, self.name)

    def _settings(self, run: Run) -> Settings:
        return next(iter(run.change.settings.values()), Settings())

    def in_the_way(self, conn: Connection) -> tuple[Relation, ...]:
        """List the tables it would create that are there already."""
        there = inventory.present(conn, self.makes)
        return tuple(one for one in self.makes if one in there)

    def _retrying(self, run: Run, act: Callable[..., None], guard: revisions.Guard) -> None:
        settings = self._settings(run)

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
            relations=[*ddl.tables_locked(self._sql), *self.makes],
            connect=run.database.connect,
        )
