"""The act of the archive: refused, made, shut to others, not dropped before its time, and taken back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from migrator.cli.render.words import fold, number
from migrator.model.names import quote
from migrator.model.step import Phase, State

if TYPE_CHECKING:
    from migrator.cli.demo.stage import Stage
    from migrator.database.connect import Connection

FORBIDDEN = "42501"


class May(NamedTuple):
    """In how many rows somebody may look, and how many he may change."""

    read: int
    change: int

    def __str__(self) -> str:
        """Say both."""
        return f"may read {number(self.read)} rows and change {number(self.change)}"


def put_away(stage: Stage) -> None:
    """Archive the old tables, and take them out again."""
    stage.title("Put the old tables away, and take them out again")
    before, others = stage.look(), _outsider(stage)
    _refused(stage)
    _moved(stage)
    _archived(stage)
    _shut(stage, others)
    _kept(stage)
    _taken_back(stage)
    stage.promise_same("what was put away is as it was, names, rights and policies too", before)


def _refused(stage: Stage) -> None:
    """Try to archive while the old tables are still in use."""
    from migrator.workflow import archiving, gates

    stage.command("archive")
    with stage.listening() as listen:
        refusal = stage.refusal(lambda: archiving.archive(stage.desk, listen=listen))
    ids = [one.id for one in refusal.refusals] if isinstance(refusal, gates.GateError) else []
    left = [one.name for one in archiving.consumers(stage.desk) if one.side != "new"]
    named = refusal is not None and all(one in refusal.what for one in left)
    said = f"{', '.join(ids) or 'not refused'}, {len(left)} consumers named"
    stage.promise("nothing is archived while it is in use", kept=ids == ["M432"] and named, evidence=said)


def _moved(stage: Stage) -> None:
    """Say that every consumer is on the new tables."""
    from migrator.cli.render.consumers import consumers as screen
    from migrator.workflow import archiving

    stage.command("consumers", "--all", "--on", "new")
    found = archiving.put_consumers(stage.desk, tuple(stage.desk.change.consumers), "new")
    stage.page(screen(found, width=stage.run.width))


def _archived(stage: Stage) -> None:
    from migrator.workflow import archiving

    stage.command("archive")
    with stage.listening() as listen:
        report = archiving.archive(stage.desk, listen=listen)
    stage.show(report)
    kept = report.state is State.ARCHIVED and report.proven is True
    compared = sum(one.compared for one in report.comparisons)
    said = f"{report.state.value}, {number(compared)} rows compared"
    stage.promise("what is archived was proven once more", kept=kept, evidence=said)


def _shut(stage: Stage, before: May) -> None:
    """Promise that others may do nothing with the archive."""
    from migrator.database.session import transaction

    with stage.desk.database.connect() as conn, transaction(conn):
        now = _may(conn, stage.story.outsider, stage.desk.change.archive.tables.values())
    said = f"{stage.story.outsider} {now}"
    stage.promise("nobody but its owner is let into the archive", kept=not any(now) and all(before), evidence=said)


def _kept(stage: Stage) -> None:
    """Try to drop the archive before its time."""
    from migrator.workflow import archiving, use_cases

    stage.command("drop")
    refusal = stage.refusal(lambda: archiving.drop(stage.desk))
    found = use_cases.status_facts(stage.desk).archived
    until = "" if found is None else f"{found.keep_until:%Y-%m-%d %H:%M} UTC"
    kept = refusal is not None and refusal.id == "M442" and bool(until) and until in refusal.what
    stage.promise("nothing is dropped before its time", kept=kept, evidence=f"kept until {until or 'no date'}")


def _taken_back(stage: Stage) -> None:
    from migrator.workflow import undoing

    stage.command("rollback", "--to", "verify")
    with stage.listening() as listen:
        stage.show(undoing.rollback(stage.desk, to=Phase.VERIFY, listen=listen))


def _outsider(stage: Stage) -> May:
    """Show what others may do with the old tables, and would after the plain rename that pages advise."""
    from migrator.database.session import transaction

    tables, role = stage.desk.change.archive.tables, stage.story.outsider
    with stage.desk.database.connect() as conn, transaction(conn):
        now = _may(conn, role, tables)
        conn.execute(b"SAVEPOINT by_hand")
        for old, new in tables.items():
            conn.execute(f"ALTER TABLE {quote(old)} RENAME TO {quote(new)}".encode())
        by_hand = _may(conn, role, tables.values())
        conn.execute(b"ROLLBACK TO SAVEPOINT by_hand")
    said = f"{stage.story.outside} is {role}, who {now} of the old tables. Renamed by hand, {role} {by_hand}."
    stage.page(fold(said, stage.run.width))
    return now


def _may(conn: Connection, role: str, tables: Iterable[str]) -> May:
    """Try it as the role, in the transaction that is open; the statistics of the tables do not change."""
    names = [quote(one) for one in tables]
    return May(
        read=sum(_rows(conn, role, f"SELECT count(*) FROM {one}") for one in names),
        change=sum(_rows(conn, role, f"SELECT count(*) FROM (SELECT FROM {one} FOR UPDATE) AS held") for one in names),
    )


def _rows(conn: Connection, role: str, query: str) -> int:
    from migrator.database.failures import SqlError, sqlstate
    from migrator.database.session import value

    conn.execute(b"SAVEPOINT outsider")
    try:
        conn.execute(f"SET LOCAL ROLE {quote(role)}".encode())
        conn.execute(b"SET LOCAL row_security = on")
        return int(value(conn, query))
    except SqlError as error:
        if sqlstate(error) != FORBIDDEN:
            raise
        return 0
    finally:
        conn.execute(b"ROLLBACK TO SAVEPOINT outsider")
