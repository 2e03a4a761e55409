"""Expand where the tables are there already: compared, brought over act by act, and recorded as adopted.

Its undo takes back only what these acts did. An act and its mark in the Ledger are one transaction; what runs
CONCURRENTLY has a mark before it and one behind it, and whoever goes on looks how far it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator.database import concurrently, revisions
from migrator.database.connect import Connection
from migrator.database.explaining import explained
from migrator.database.locks import with_lock_retries
from migrator.database.revision_files import RevisionInfo, declared
from migrator.database.session import execute, value
from migrator.ledger import lease, steps
from migrator.ledger.run import Run
from migrator.ledger.steps import StepRecord
from migrator.model.adoption import Act
from migrator.model.change import Settings
from migrator.model.commands import again
from migrator.model.errors import RefusedError, WorldError
from migrator.model.names import Relation
from migrator.model.step import Event, Hazard, Phase, Preview
from migrator.model.verdict import Verdict

ROUNDS = 3  # how often what is there may have changed while it was brought over

Judge = Callable[[Connection], tuple[Act, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptRevision:
    """The Step that records a revision whose tables, `found`, are there already.

    `acts` bring over what differs; `judge` compares again and gives what still does, or refuses. `accepted` says how
    many rows of each table that was missing, and made here, may be lost by its undo.
    """

    change: str
    info: RevisionInfo
    directory: Path
    found: tuple[Relation, ...] = ()
    acts: tuple[Act, ...] = ()
    notes: tuple[str, ...] = ()
    judge: Judge = field(default=lambda _: ())
    accepted: Mapping[str, int] = field(default_factory=dict)
    phase: Phase = Phase.EXPAND

    @property
    def name(self) -> str:
        """The revision's id."""
        return self.info.id

    @property
    def title(self) -> str:
        """What is adopted, and in how many acts."""
        tables = ", ".join(map(str, self.found)) or "what is there"
        number = len(self.acts)
        how = f", {number} act{'' if number == 1 else 's'}" if self.acts else ""
        return f"revision {self.info.id}: adopt {tables}{how}"

    @property
    def hazards(self) -> tuple[Hazard, ...]:
        """What is dangerous in its acts."""
        return tuple(one.hazard for one in self.acts if one.hazard is not None)

    def preview(self) -> Preview:
        """Give the SQL of every act, and the locks they take."""
        return Preview(
            sql=tuple(f"-- {one.difference}\n" + "\n".join(f"{sql};" for sql in one.do) for one in self.acts),
            locks="; ".join(dict.fromkeys(one.lock for one in self.acts)) or "none on tables in use",
        )

    def apply(self, run: Run) -> dict[str, int]:
        """Go on with acts that were begun, or begin; compare again; then record the revision as adopted.

        Raises RefusedError M209 when what is there cannot be brought over any more, M216 for rows in the way, M301.
        """
        if self._record(run) is None:
            self._remember(run, self.acts)
        done = 0
        for _ in range(ROUNDS):
            done += self._go_on(run)
            with run.database.connect() as conn:
                left = self.judge(conn)
            if not left:
                self._stamp(run)
                return {"acts": done}
            self._remember(run, left)
        raise WorldError(
            "M217",
            f"What {self.info.id} declares was changed by somebody else while it was brought over, {ROUNDS} times.",
            "Find out who changes these tables; then run the same command again.",
        )

    def check(self, conn: Connection) -> Verdict:
        """Say whether the version table has it."""
        done = self.info.id in revisions.applied(conn, declared(self.directory, self.change))
        return Verdict(
            claim=f"revision {self.info.id} is applied",
            proven=done,
            evidence="its tables were adopted" if done else "the version table does not have it",
        )

    def undo(self, run: Run) -> dict[str, int]:
        """Take the record back, then every act, last first; what was found stays as it was found.

        Raises RefusedError M412 for rows of a table that was made here, M218 for values that would not fit.
        """
        with run.database.connect() as conn:
            done = self.info.id in revisions.applied(conn, declared(self.directory, self.change))
        if done:
            self._stamp(run, back=True)
        taken_back = 0
        for at, said in reversed(list(enumerate(self._acts(run)))):
            if said["state"] in {"begun", "done"}:
                self._take_back(run, at, Act.from_json(said))
                taken_back += 1
        with run.database.connect() as conn, run.writing(conn):
            steps.forget(conn, self.change, Phase.EXPAND, self.name)
        return {"acts": taken_back}

    def _record(self, run: Run) -> StepRecord | None:
        with run.database.connect() as conn:
            return steps.one_of(conn, self.change, Phase.EXPAND, self.name)

    def _acts(self, run: Run) -> list[dict[str, Any]]:
        record = self._record(run)
        return [] if record is None else list(record.undo.get("acts", []))

    def _remember(self, run: Run, acts: tuple[Act, ...]) -> None:
        """Record acts before the first of them, behind those that were recorded before."""
        record = self._record(run)
        known: Mapping[str, Any] = {} if record is None else record.undo
        new = [{**one.as_json(), "state": "todo"} for one in acts]
        found = known.get("found", [f"{one.schema}.{one.name}" for one in self.found])
        said = {**known, "found": found, "acts": [*known.get("acts", []), *new]}
        with run.database.connect() as conn, run.writing(conn):
            steps.adopt(conn, run.lease, Phase.EXPAND, self.name, said)

    def _go_on(self, run: Run) -> int:
        number = 0
        everything = self._acts(run)
        for at, said in enumerate(everything):
            if said["state"] == "done":
                continue
            act = Act.from_json(said)
            run.listen(
                Event(
                    kind="progress",
                    phase=self.phase,
                    name=self.name,
                    title=f"{self.title}: {act.difference}",
                    rows=at,
                    total=len(everything),
                )
            )
            with explained(f"adopting, because {act.difference}", run.database.connect):
                self._do(run, at, act)
            number += 1
        return number

    def _do(self, run: Run, at: int, act: Act) -> None:
        settings = self._settings(run)
        if not act.concurrent:
            self._in_transaction(run, at, act.do, "done", act.relation)
            return
        self._in_transaction(run, at, (), "begun", act.relation)
        for statement in act.do:
            if act.index:
                note = self._noting(run)
                concurrently.build(run.database, statement, act.index, tries=settings.lock_tries, note=note)
            else:
                concurrently.run(run.database, statement, tries=settings.lock_tries)
        self._in_transaction(run, at, (), "done", act.relation)

    def _take_back(self, run: Run, at: int, act: Act) -> None:
        if act.concurrent:
            self._in_transaction(run, at, (), "begun", act.relation)
            for statement in act.undo:
                concurrently.run(run.database, statement, tries=self._settings(run).lock_tries)
            self._in_transaction(run, at, (), "undone", act.relation)
            return
        self._in_transaction(run, at, act.undo, "undone", act.relation, back=act)

    def _in_transaction(
        self, run: Run, at: int, statements: tuple[str, ...], state: str, relation: Relation, back: Act | None = None
    ) -> None:
        settings = self._settings(run)

        def once() -> None:
            with run.database.connect() as conn, run.writing(conn, lock_timeout_ms=settings.lock_timeout_ms):
                steps.mark_act(conn, self.change, Phase.EXPAND, self.name, at, state)
                if back is not None:
                    self._refuse_losses(conn, back)
                for statement in statements:
                    execute(conn, statement)

        with_lock_retries(
            once,
            doing=f"adopting {relation}",
            tries=settings.lock_tries,
            relations=[relation],
            connect=run.database.connect,
        )

    def _refuse_losses(self, conn: Connection, act: Act) -> None:
        """Count under lock what undo would lose, if a table was made here or a type was wider for a while."""
        if act.makes == act.relation:
            execute(conn, f"LOCK TABLE {act.relation.sql} IN ACCESS EXCLUSIVE MODE")
            number = int(value(conn, f"SELECT count(*) FROM {act.relation.sql}"))
            accepted = self.accepted.get(str(act.relation), 0)
            if number > accepted:
                raise RefusedError(
                    "M412",
                    f"{act.relation} holds {number:,} rows which are not ours to drop; {accepted:,} were accepted.",
                    f"Look again: {again('rollback', self.change)} counts them anew.",
                )
        for one in act.first_back:
            number = int(value(conn, f"SELECT count(*) FROM {one.relation.sql} AS t WHERE {one.where}"))
            if number:
                raise RefusedError(
                    "M218",
                    f"{one.relation}: {number:,} rows cannot go back: {one.what}.",
                    f"Mend these rows; then go on: {again('rollback', self.change)}",
                )

    def _stamp(self, run: Run, *, back: bool = False) -> None:
        settings = self._settings(run)

        def record(conn: Connection) -> None:
            lease.check(conn, run.lease)
            if not back:
                ran_by = {"revision": self.info.digest}
                steps.finish(conn, run.lease, Phase.EXPAND, self.name, origin="adopted", undo=ran_by)

        with_lock_retries(
            lambda: revisions.stamp(
                run.database, self.directory, self.change, self.name, record, settings.lock_timeout_ms, back=back
            ),
            doing=f"recording revision {self.name}",
            tries=settings.lock_tries,
        )

    def _noting(self, run: Run) -> Callable[[str], None]:
        return lambda said: run.listen(Event(kind="note", phase=self.phase, name=self.name, title=said))

    def _settings(self, run: Run) -> Settings:
        return next(iter(run.change.settings.values()), Settings())
