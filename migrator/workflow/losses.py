"""What a rollback would lose, counted before anything is undone, and what of it was accepted by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from migrator.database import inventory
from migrator.database.connect import Connection
from migrator.database.session import rows, value
from migrator.engine import undo as undoing
from migrator.engine.undo import Written
from migrator.model.errors import RefusedError, UsageError
from migrator.model.names import Relation, quote
from migrator.model.step import Losses, Phase
from migrator.model.tables import Table
from migrator.phases.backfill import CopyRows
from migrator.workflow.adoption import acts_done, tables_found
from migrator.workflow.desk import Desk
from migrator.workflow.expanding import revision_steps
from migrator.workflow.facts import Facts, reading

EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was accepted by name: keep the application's rows, or lose so many of each target."""

    keep_new: bool = False
    lose: Mapping[str, int] | None = None

    def covers(self, loss: Losses) -> bool:
        """Whether a loss is covered."""
        return self.keep_new or loss.rows == 0 or loss.rows <= (self.lose or {}).get(loss.target, 0)


def losses_of(conn: Connection, desk: Desk, facts: Facts, to: Phase | None) -> tuple[Losses, ...]:
    """Count what a rollback to a phase would lose, by target."""
    if to in {Phase.BACKFILL, Phase.VERIFY}:
        return ()
    with reading(conn, desk):
        written = written_by(conn, desk, facts)
        dropped = dropped_tables(conn, desk, facts) if to is None else {}
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


def accepted_by(found: Sequence[Losses], facts: Facts, *, keep_new: bool, lose: Sequence[str]) -> Accepted:
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


def refuse_losses(desk: Desk, found: Sequence[Losses], accepted: Accepted) -> None:
    """Raise RefusedError M412 for losses that were not accepted by name."""
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


def _values(conn: Connection, facts: Facts, written: Sequence[Written]) -> Iterator[Losses]:
    """Count the rows, ours aside, that have a value in a column which was added to a table that was there."""
    for wanted in (one for act in acts_done(facts.steps) for one in act.loses):
        ours = not_ours([one for one in written if one.target.relation == wanted.relation])
        number = value(conn, f"SELECT count(*) FROM {wanted.relation.sql} AS t WHERE {wanted.where} AND {ours}")
        yield Losses(target=f"{wanted.relation} {wanted.what}", foreign=int(number))


def written_by(conn: Connection, desk: Desk, facts: Facts) -> list[Written]:
    """Say what each backfill of the change wrote, as far as its target is still there."""
    found = []
    for backfill in desk.change.backfills:
        if backfill.name in facts.recorded:
            step = CopyRows(change=desk.change, backfill=backfill, search_path=desk.database.search_path)
            written = step.written(conn)
            found += [] if written is None else [written]
    return found


def dropped_tables(conn: Connection, desk: Desk, facts: Facts) -> dict[Relation, Table]:
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
        # What was handed over is the application's, and no loss while its table stays.
        changed=sum(undoing.count_changed(conn, one) for one in written if dropped is not None or not one.handed_over),
        cascades=cascades,
        examples=examples,
    )


def _foreign(conn: Connection, table: Table, written: Sequence[Written]) -> tuple[int, tuple[str, ...]]:
    """Count the rows that we did not insert, and name the first of them by primary key."""
    where = f"FROM {table.relation.sql} AS t WHERE {not_ours(written)}"
    number = int(value(conn, f"SELECT count(*) {where}"))
    primary = next((one.columns for one in table.uniques if one.primary), ())
    if not number or not primary:
        return number, ()
    key = ", ".join(f"t.{quote(name)}" for name in primary)
    texts = " || ', ' || ".join(f"t.{quote(name)}::text" for name in primary)
    return number, tuple(str(one) for (one,) in rows(conn, f"SELECT {texts} {where} ORDER BY {key} LIMIT {EXAMPLES}"))


def not_ours(written: Sequence[Written]) -> str:
    """Write the condition that a row `t` is none that we inserted; what was written in place was there before."""
    return " AND ".join(
        [
            "true",
            *(
                f"NOT EXISTS (SELECT FROM {one.recorded.provenance} AS v"
                f" WHERE v.kind = 'moved' AND {one.same_row('v', 't')})"
                for one in written
                if not one.in_place
            ),
        ]
    )
