"""Rollback: the same Steps walked backwards, after counting what that would lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from migrator.database import inventory
from migrator.database.connect import Connection
from migrator.database.session import rows, value
from migrator.engine import undo as undoing
from migrator.engine.undo import Written
from migrator.ledger import consumers, parameters, steps
from migrator.ledger.run import Listen, Run
from migrator.model.errors import RefusedError, UsageError
from migrator.model.names import Relation, quote
from migrator.model.step import Losses, Phase, Report, State, StepReport
from migrator.model.tables import Table
from migrator.phases.backfill import CopyRows
from migrator.phases.verify import CompareRows
from migrator.workflow.adoption import acts_done, refuse_rows, tables_found
from migrator.workflow.archive_step import archive_step
from migrator.workflow.desk import Desk
from migrator.workflow.expanding import expand_steps, revision_steps
from migrator.workflow.facts import Facts, facts_of, reading
from migrator.workflow.runner import running, take_back

BACK_TO = (None, Phase.EXPAND, Phase.BACKFILL, Phase.VERIFY)
EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was accepted by name: keep the application's rows, or lose so many of each target."""

    keep_new: bool = False
    lose: Mapping[str, int] | None = None

    def covers(self, loss: Losses) -> bool:
        """Whether a loss is covered."""
        return self.keep_new or loss.rows == 0 or loss.rows <= (self.lose or {}).get(loss.target, 0)


def losses(desk: Desk, *, to: Phase | None = None) -> tuple[Losses, ...]:
    """Count what a rollback would lose, by target; only reads."""
    with desk.explained(f"counting what a rollback of {desk.change.name} would lose"):
        with desk.database.connect() as conn:
            return _losses(conn, desk, facts_of(conn, desk), to)


def rollback(
    desk: Desk,
    *,
    to: Phase | None = None,
    keep_new: bool = False,
    lose: Sequence[str] = (),
    listen: Listen,
) -> Report:
    """Undo what was done: restore what is archived, forget the proof, delete by provenance, downgrade.

    `to` is the phase that stays done.

    Raises RefusedError M412 when rows of the application would be lost that were not accepted by name: `lose` holds
    sentences like "7 rows of video_jobs", `keep_new` leaves these rows and their tables. Killed, it goes on. Raises
    ConfigurationError M206, before anything is undone, where a revision that was applied has no way back.
    """
    if to not in BACK_TO:
        raise UsageError("M109", f"rollback cannot go back to {to}.", "Choose expand, backfill, verify, or nothing.")
    with desk.explained(f"rolling back {desk.change.name}"), desk.database.connect() as conn:
        facts = facts_of(conn, desk)
        if not facts.applied and not facts.steps and not facts.recorded:
            return _report(desk, facts, [])
        _refuse_unknown(conn, desk)
        found = _losses(conn, desk, facts, to)
        accepted = _accepted(found, facts, keep_new=keep_new, lose=lose)
        _refuse_losses(desk, found, accepted)
        if to is None and not accepted.keep_new:
            _refuse_too_wide(conn, desk, facts)
        with running(desk, "rollback", listen) as (run, looking):
            done = _back(desk, run, facts_of(looking, desk), to, found, accepted)
            return _report(desk, facts_of(looking, desk), done)


def _back(
    desk: Desk, run: Run, facts: Facts, to: Phase | None, found: Sequence[Losses], accepted: Accepted
) -> list[StepReport]:
    last = -1 if to is None else to.place
    done = _unarchive(desk, run, facts)
    keep_tables = accepted.keep_new and any(one.rows for one in found)
    going = [one for one in (Phase.EXPAND, Phase.BACKFILL, Phase.VERIFY) if one.place > last]
    if keep_tables and Phase.EXPAND in going:
        going.remove(Phase.EXPAND)
    if not going:
        return done
    if Phase.EXPAND in going:
        for step in revision_steps(desk, facts):
            if step.name in facts.applied:
                step.refuse_no_way_back()
    _begin(run, going, accepted)
    if Phase.VERIFY in going:
        done += _unverify(desk, run, facts)
    if Phase.BACKFILL in going:
        done += _uncopy(desk, run, facts, accepted)
    if Phase.EXPAND in going:
        done += _unexpand(desk, run, facts, found)
    return done


def _unarchive(desk: Desk, run: Run, facts: Facts) -> list[StepReport]:
    """Take the archive back, or the watch of one that was only begun: one transaction, which nothing has to go on."""
    if not any(one.phase is Phase.ARCHIVE for one in facts.steps):
        return []
    return [take_back(archive_step(desk), run)]


def _begin(run: Run, going: list[Phase], accepted: Accepted) -> None:
    said = {"keep_new": accepted.keep_new, "lose": dict(accepted.lose or {})}
    with run.database.connect() as conn, run.writing(conn):
        steps.begin_undo(conn, run.lease, going, said)


def _unverify(desk: Desk, run: Run, facts: Facts) -> list[StepReport]:
    step = CompareRows(change=desk.change, search_path=desk.database.search_path)
    known = any(one.phase is Phase.VERIFY for one in facts.steps)
    report = take_back(step, run)
    return [report] if known else []


def _uncopy(desk: Desk, run: Run, facts: Facts, accepted: Accepted) -> list[StepReport]:
    done = []
    for backfill in reversed(desk.change.backfills):
        if backfill.name not in facts.recorded:
            continue
        step = CopyRows(
            change=desk.change,
            backfill=backfill,
            search_path=desk.database.search_path,
            lose_changed=not accepted.keep_new,
            keep_changed=accepted.keep_new,
        )
        done.append(take_back(step, run))
    with run.database.connect() as conn, run.writing(conn):
        parameters.forget(conn, desk.change.name)
        steps.forget(conn, desk.change.name, Phase.BACKFILL)
    return done


def _unexpand(desk: Desk, run: Run, facts: Facts, found: Sequence[Losses]) -> list[StepReport]:
    accepted = {one.target: one.foreign for one in found}
    begun = {one.name for one in facts.steps if one.phase is Phase.EXPAND and one.origin == "adopted"}
    back = [one for one in reversed(expand_steps(desk, facts)) if one.name in facts.applied or one.name in begun]
    done = [take_back(replace(step, accepted=accepted), run) for step in back]
    with run.database.connect() as conn, run.writing(conn):
        steps.forget(conn, desk.change.name, Phase.EXPAND)
        consumers.forget(conn, desk.change.name)
    return done


def _accepted(found: Sequence[Losses], facts: Facts, *, keep_new: bool, lose: Sequence[str]) -> Accepted:
    """Read what was accepted by name; a rollback that goes on keeps what was accepted when it began."""
    known = {one.sentence: one for one in found if one.rows}
    unknown = [one for one in lose if one not in known]
    if unknown:
        exact = ", ".join(f'"{one}"' for one in known) or "nothing"
        raise UsageError(
            "M411", f"--lose {unknown[0]!r} is not what would be lost.", f"What would be lost now: {exact}."
        )
    named = {known[one].target: known[one].rows for one in lose}
    before = next((one.undo for one in facts.steps if one.status == "undoing" and one.undo), {})
    return Accepted(
        keep_new=keep_new or bool(before.get("keep_new", False)),
        lose={**dict(before.get("lose", {})), **named},
    )


def _refuse_losses(desk: Desk, found: Sequence[Losses], accepted: Accepted) -> None:
    open_losses = [one for one in found if not accepted.covers(one)]
    if not open_losses:
        return
    lines = [_said(one) for one in open_losses]
    words = " ".join(f'--lose "{one.sentence}"' for one in open_losses)
    name = desk.change.name
    raise RefusedError(
        "M412",
        "rollback would lose " + "\n  and ".join(lines) + ".",
        f"Keep them (the tables stay):    migrator rollback {name} --keep-new\n"
        f"Lose them, saying so:           migrator rollback {name} {words}",
    )


def _said(loss: Losses) -> str:
    parts = []
    if loss.foreign:
        parts.append(f"{loss.foreign:,} written by the application")
    if loss.changed:
        parts.append(f"{loss.changed:,} changed by it since they were moved")
    parts += [f"{number:,} of {table} that hang on ours" for table, number in loss.cascades.items()]
    examples = f" (for example {', '.join(loss.examples)})" if loss.examples else ""
    return f"{loss.sentence}: {', '.join(parts)}{examples}"


def _losses(conn: Connection, desk: Desk, facts: Facts, to: Phase | None) -> tuple[Losses, ...]:
    if to in {Phase.BACKFILL, Phase.VERIFY}:
        return ()
    with reading(conn, desk):
        written = _written(conn, desk, facts)
        dropped = _dropped(conn, desk, facts) if to is None else {}
        relations = dict.fromkeys([*dropped, *(one.target.relation for one in written)])
        return (
            *(
                _loss(
                    conn, relation, [one for one in written if one.target.relation == relation], dropped.get(relation)
                )
                for relation in relations
            ),
            *(_values(conn, facts, written) if to is None else ()),
        )


def _values(conn: Connection, facts: Facts, written: Sequence[Written]) -> Iterator[Losses]:
    """Count the rows, ours aside, that have a value in a column which was added to a table that was there."""
    for wanted in (one for act in acts_done(facts.steps) for one in act.loses):
        ours = _not_ours([one for one in written if one.target.relation == wanted.relation])
        number = value(conn, f"SELECT count(*) FROM {wanted.relation.sql} AS t WHERE {wanted.where} AND {ours}")
        yield Losses(target=f"{wanted.relation} {wanted.what}", foreign=int(number))


def _refuse_too_wide(conn: Connection, desk: Desk, facts: Facts) -> None:
    """Refuse to go back to a narrower type while the application's rows hold values that it does not."""
    with reading(conn, desk):
        written = _written(conn, desk, facts)
        also = {
            one.target.relation: _not_ours([each for each in written if each.target.relation == one.target.relation])
            for one in written
        }
        refuse_rows(conn, [one for act in acts_done(facts.steps) for one in act.first_back], "M218", also)


def _written(conn: Connection, desk: Desk, facts: Facts) -> list[Written]:
    found = []
    for backfill in desk.change.backfills:
        if backfill.name in facts.recorded:
            step = CopyRows(change=desk.change, backfill=backfill, search_path=desk.database.search_path)
            written = step.written(conn)
            found += [] if written is None else [written]
    return found


def _dropped(conn: Connection, desk: Desk, facts: Facts) -> dict[Relation, Table]:
    """Find the tables that the downgrades will drop; one that was there before the change is not among them."""
    made = [one for step in revision_steps(desk, facts) if step.name in facts.applied for one in step.makes]
    there = tables_found(facts.steps)
    return inventory.tables(conn, [one for one in made if one not in there])


def _loss(conn: Connection, relation: Relation, written: Sequence[Written], dropped: Table | None) -> Losses:
    cascades: dict[str, int] = {}
    for one in written:
        for table, number in undoing.count_cascades(conn, one):
            cascades[table] = cascades.get(table, 0) + number
    foreign, examples = (0, ()) if dropped is None else _foreign(conn, dropped, written)
    return Losses(
        target=str(relation),
        foreign=foreign,
        changed=sum(undoing.count_changed(conn, one) for one in written),
        cascades=cascades,
        examples=examples,
    )


def _foreign(conn: Connection, table: Table, written: Sequence[Written]) -> tuple[int, tuple[str, ...]]:
    """Count the rows that we did not insert, and name the first of them by primary key."""
    where = f"FROM {table.relation.sql} AS t WHERE {_not_ours(written)}"
    number = int(value(conn, f"SELECT count(*) {where}"))
    primary = next((one.columns for one in table.uniques if one.primary), ())
    if not number or not primary:
        return number, ()
    key = ", ".join(f"t.{quote(name)}" for name in primary)
    texts = " || ', ' || ".join(f"t.{quote(name)}::text" for name in primary)
    return number, tuple(str(one) for (one,) in rows(conn, f"SELECT {texts} {where} ORDER BY {key} LIMIT {EXAMPLES}"))


def _not_ours(written: Sequence[Written]) -> str:
    """Write the condition that a row `t` is none that we inserted."""
    return " AND ".join(
        [
            "true",
            *(
                f"NOT EXISTS (SELECT FROM {one.recorded.provenance} AS v"
                f" WHERE v.kind = 'moved' AND {one.same_row('v', 't')})"
                for one in written
            ),
        ]
    )


def _refuse_unknown(conn: Connection, desk: Desk) -> None:
    """Refuse while the Ledger knows a backfill of this change whose definition is gone, or is left out."""
    if value(conn, "SELECT pg_catalog.to_regclass('migrator.backfill') IS NULL"):
        return
    known = {one.name for one in desk.change.backfills}
    recorded = rows(conn, "SELECT name FROM migrator.backfill WHERE change = %s", (desk.change.name,))
    gone = [str(name) for (name,) in recorded if name not in known]
    switches = {one.name: one.only_if.name for one in desk.change.left_out if one.only_if is not None}
    if off := [name for name in gone if name in switches]:
        raise UsageError(
            "M130",
            f"{', '.join(off)} moved rows, and is left out now: parameter {switches[off[0]]} is not true.",
            f"Let it take part, so that it can be undone:    migrator rollback {desk.change.name}"
            f" {' '.join(dict.fromkeys(f'--param {switches[name]}=true' for name in off))}",
        )
    if gone:
        raise UsageError(
            "M408",
            f"{', '.join(gone)} moved rows, and {desk.change.name} no longer names it.",
            "Put its definition back into migrator.toml and backfills/, so that it can be undone.",
        )


def _report(desk: Desk, facts: Facts, done: Sequence[StepReport]) -> Report:
    name = desk.change.name
    return Report(
        change=name,
        verb="rollback",
        database=desk.database.shown,
        state=facts.state,
        steps=tuple(done),
        next=(f"migrator apply {name}",) if facts.state in {State.NEW, State.EXPANDED} else (),
    )
