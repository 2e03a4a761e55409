"""Archive: sources nobody needs get another name, and nobody but their owner is let in. Its undo gives all back.

Names, rights and policies change in one transaction, under locks that are held for an instant; what it did is kept in
the Step, to the letter. Before that the tables are watched, so that no write between the proof and the locks is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from migrator.database import access, inventory, renames
from migrator.database.access import Access
from migrator.database.budget import Held, under_locks
from migrator.database.connect import Connection
from migrator.database.failures import SqlError, sqlstate
from migrator.database.locks import with_lock_retries
from migrator.database.session import value
from migrator.engine import archived, watch
from migrator.engine.archived import STEP, Archived, ArchivedTable
from migrator.ledger import lease, steps
from migrator.ledger.run import Run
from migrator.model.change import Change, Settings
from migrator.model.commands import again, command
from migrator.model.errors import RefusedError
from migrator.model.names import Relation, quote
from migrator.model.step import Event, Phase, Preview
from migrator.model.verdict import Verdict

EXCLUSIVE = "ACCESS EXCLUSIVE"
WATCHING = "SHARE ROW EXCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveTables:
    """The Step that archives the sources named in `[change.X.archive]`, all in one transaction."""

    change: Change
    search_path: str
    statements: tuple[str, ...] = ()
    phase: Phase = Phase.ARCHIVE

    @property
    def name(self) -> str:
        """One archive for the whole change."""
        return STEP

    @property
    def title(self) -> str:
        """From which name to which."""
        return ", ".join(f"{old} → {new}" for old, new in self.change.archive.tables.items())

    def preview(self) -> Preview:
        """Give the SQL as it was looked up, and the locks."""
        tables = ", ".join(self.change.archive.tables)
        return Preview(
            sql=self.statements,
            locks=f"{EXCLUSIVE} on {tables}",
            blocks=f"everybody on {tables}, for less than deadlock_timeout",
        )

    def watch(self, run: Run) -> None:
        """Lay the watch, and record that the archive was begun; an earlier watch begins anew."""
        with run.database.connect() as conn:
            relations = self.relations(conn)
            again = steps.one_of(conn, self.change.name, self.phase, self.name) is not None
        watching = {"watching": [[one.schema, one.name] for one in relations]}

        def look(conn: Connection) -> Sequence[str]:
            begun = steps.begin_sql(run.lease, self.phase, self.name, watching)
            return [*watch.laid(watch.members(conn, relations)), begun]

        # To take an earlier one off needs the stronger lock, which is never got by upgrading a weaker one.
        self._locked(run, relations, EXCLUSIVE if again else WATCHING, look, "laying the watch")

    def unwatch(self, run: Run, *, tries: int | None = None) -> None:
        """Take the watch off, and forget that the archive was begun; one that is done has none."""
        with run.database.connect() as conn:
            begun = steps.one_of(conn, self.change.name, self.phase, self.name)
            if begun is None or begun.status != "started":
                return
            named = begun.undo.get("watching", [])
            relations = [one for one in (Relation(*name) for name in named) if inventory.table(conn, one) is not None]
            if not relations:
                with run.writing(conn):
                    steps.forget(conn, self.change.name, self.phase, self.name)
        if not relations:
            return

        def look(conn: Connection) -> Sequence[str]:
            forgotten = steps.forget_sql(self.change.name, self.phase, self.name)
            return [*watch.taken_off(watch.members(conn, relations)), forgotten]

        self._locked(run, relations, EXCLUSIVE, look, "taking the watch off", tries)

    def apply(self, run: Run) -> dict[str, int]:
        """Rename, shut, take the watch off and record it, in one transaction.

        Raises RefusedError M433 when the tables were written to since the watch was laid, M440 when this role could not
        give the rights back; WorldError M301 when the locks were not got. Nothing is changed then.
        """

        def look(conn: Connection) -> Sequence[str]:
            found = self.look(conn)
            self.refuse_unable(conn, found.access)
            tables = watch.members(conn, found.before)
            oids = [one.oid for one in tables]
            role = access.current_role(conn)
            return [
                watch.nothing_seen(tables),
                _still(access.unchanged(oids, found.access)),
                *watch.taken_off(tables),
                *_done(found, role),
                _still(access.nobody_in(oids)),
                steps.done_sql(run.lease, self.phase, self.name, found.facts()),
            ]

        with run.database.connect() as conn:
            relations = self.relations(conn)
            try:
                self._locked(run, relations, EXCLUSIVE, look, f"archiving {', '.join(map(str, relations))}")
            except SqlError as error:
                if sqlstate(error) != watch.SEEN:
                    raise
                raise self.written(conn) from error
        return {}

    def check(self, conn: Connection) -> Verdict:
        """Say whether it is archived."""
        found = archived.find(conn, self.change.name)
        evidence = "it is not archived" if found is None else found.names
        return Verdict(claim=f"{self.change.name} is archived", proven=found is not None, evidence=evidence)

    def undo(self, run: Run) -> dict[str, int]:
        """Give names, rights and policies back, in one transaction; of an archive only begun, take the watch off.

        Raises RefusedError M439 where an old name was taken meanwhile, M446 where a role is gone.
        """
        with run.database.connect() as conn:
            found = archived.find(conn, self.change.name)
        if found is None:
            self.unwatch(run)
            return {}

        with run.database.connect() as conn:
            for one in found.later:
                _oid(conn, one)

        def look(conn: Connection) -> Sequence[str]:
            self._refuse_taken(conn, found)
            back = [(one, renames.there_now(conn, _oid(conn, one.later), one.renames)) for one in found.tables]
            self._tell_missing(run, found, back)
            return [
                *_undone(found, back, access.current_role(conn)),
                steps.forget_sql(self.change.name, self.phase, self.name),
            ]

        self._locked(run, found.later, EXCLUSIVE, look, f"restoring {', '.join(map(str, found.before))}")
        return {}

    def relations(self, conn: Connection) -> list[Relation]:
        """Find the tables to archive, those that are there."""
        found = (inventory.find(conn, one, self.search_path) for one in self.change.archive.tables)
        return [one for one in found if one is not None]

    def look(self, conn: Connection) -> Archived:
        """Look up everything that an archive made now would change."""
        named = [(one, inventory.find(conn, one, self.search_path)) for one in self.change.archive.tables]
        tables = []
        for source, before in named:
            if before is None:
                raise gone_by_hand(self.change.name, source)
            later = self.change.archive.tables[source]
            renamed = renames.of_table(conn, before, _oid(conn, before), later)
            later_relation = Relation(before.schema, later)
            tables.append(ArchivedTable(source=source, before=before, later=later_relation, renames=renamed))
        members = watch.members(conn, [one.before for one in tables])
        at = value(conn, "SELECT pg_catalog.now()")
        return Archived(
            tables=tuple(tables),
            access=access.read(conn, [one.oid for one in members]),
            at=at,
            keep_until=at + self.change.archive.keep,
        )

    def sql(self, conn: Connection) -> tuple[str, ...]:
        """Write what an archive made now would change, to be shown."""
        return tuple(f"{one};" for one in _done(self.look(conn), access.current_role(conn)))

    def refuse_unable(self, conn: Connection, found: Access) -> None:
        """Raise RefusedError M440 where rights could not be given back in the names of those who gave them."""
        if said := access.unable(conn, found):
            raise RefusedError("M440", unable(said), CURE_UNABLE)

    def written(self, conn: Connection) -> RefusedError:
        """Say what the watch saw."""
        found = watch.seen(conn, watch.members(conn, self.relations(conn)))
        what = "; ".join(map(str, found)) or "the watch was taken off, or partitions came or went"
        return RefusedError(
            "M433",
            f"Somebody still writes, since the watch was laid: {what}.",
            f"Find out who writes there, move them to the new tables, and then: {command('apply', self.change.name)}",
        )

    def _locked(
        self,
        run: Run,
        relations: Sequence[Relation],
        mode: str,
        look: Callable[[Connection], Sequence[str]],
        doing: str,
        tries: int | None = None,
    ) -> None:
        settings = next(iter(self.change.settings.values()), Settings())
        held = Held(
            relations=relations,
            mode=mode,
            lock_timeout_ms=settings.lock_timeout_ms,
            search_path=self.search_path,
            guard=lambda conn: lease.check(conn, run.lease),
            look=look,
        )

        def once() -> None:
            with run.database.connect() as conn:
                under_locks(conn, held, run.database.connect)

        with_lock_retries(
            once,
            doing=doing,
            tries=tries or settings.lock_tries,
            relations=relations,
            connect=run.database.connect,
        )

    def _refuse_taken(self, conn: Connection, found: Archived) -> None:
        taken = [f"{who} is called {one.before}" for one in found.tables if (who := renames.who_has(conn, one.before))]
        for one in found.tables:
            taken += [f"something else is called {name}" for name in renames.in_the_way(conn, one.before, one.renames)]
        if taken:
            raise RefusedError(
                "M439",
                f"The old names were taken meanwhile: {'; '.join(taken)}.",
                f"Rename what took them, and run the same command again: {again('rollback', self.change.name)}",
            )
        if roles := access.gone(conn, found.access):
            raise RefusedError(
                "M446",
                f"Roles that had rights on {', '.join(map(str, found.before))} are gone: {', '.join(roles)}.",
                f"CREATE ROLE {', '.join(map(quote, roles))}, and run the same command again; drop them afterwards.",
            )

    def _tell_missing(
        self, run: Run, found: Archived, back: Sequence[tuple[ArchivedTable, Sequence[renames.Rename]]]
    ) -> None:
        missing = [one.new for table, kept in back for one in table.renames if one not in kept]
        if missing:
            said = f"gone since the archive of {', '.join(map(str, found.before))}: {', '.join(missing)}"
            run.listen(Event(kind="note", phase=self.phase, name=self.name, title=said))


CURE_UNABLE = (
    "Let this role act as those who gave the rights (GRANT … TO …), archive as a superuser, or let the owner give these"
    " rights instead."
)


def unable(said: Sequence[str]) -> str:
    """Say that rights could not be given back."""
    return f"Not all rights could be given back by a rollback: {'; '.join(said)}."


def gone_by_hand(change: str, table: str) -> RefusedError:
    """Say that a table to archive is not there."""
    return RefusedError(
        "M447", f"There is no table {table} to archive.", f"Look what became of it, then: {command('archive', change)}"
    )


def _done(found: Archived, role: str) -> list[str]:
    """Write the statements of an archive: who is let in first, while the tables have the names that were read."""
    statements = [*access.taken_away(found.access, role)]
    for one in found.tables:
        statements += [rename.sql(one.before) for rename in one.renames]
        statements.append(f"ALTER TABLE {one.before.sql} RENAME TO {quote(one.later.name)}")
    return statements


def _undone(found: Archived, back: Sequence[tuple[ArchivedTable, Sequence[renames.Rename]]], role: str) -> list[str]:
    """Write the statements of the way back, in the opposite order."""
    statements = []
    for one, kept in back:
        statements.append(f"ALTER TABLE {one.later.sql} RENAME TO {quote(one.before.name)}")
        statements += [rename.sql(one.before, back=True) for rename in reversed(kept)]
    return [*statements, *access.given_back(found.access, role)]


def _still(condition: str) -> str:
    """Write the statement that raises where what was looked up is not so any more; it is tried again."""
    return f"IF NOT {condition} THEN RAISE EXCEPTION 'rights changed meanwhile' USING ERRCODE = '40001'; END IF"


def _oid(conn: Connection, relation: Relation) -> int:
    found = inventory.table(conn, relation)
    if found is None:
        raise RefusedError(
            "M447",
            f"There is no table {relation} any more.",
            "Bring it back under this name, and run the same command again.",
        )
    return found.oid
