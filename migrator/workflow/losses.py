"""What a rollback would lose, counted before anything is undone, and what of it was accepted by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from migrator.database import inventory
from migrator.database.connect import Connection
from migrator.database.session import value
from migrator.engine import lost
from migrator.engine.letting_go import BLOCKS, FOLLOWS, Others, not_ours
from migrator.engine.lost import Lost
from migrator.engine.undo import Written
from migrator.ledger import replaced
from migrator.model.commands import again, quoted
from migrator.model.errors import RefusedError, UsageError
from migrator.model.names import Relation
from migrator.model.step import Losses, Phase
from migrator.model.tables import Table
from migrator.phases.backfill import CopyRows
from migrator.phases.expand import RunRevision
from migrator.workflow.adoption import acts_done, tables_found
from migrator.workflow.desk import Desk
from migrator.workflow.expanding import expand_steps, revision_steps
from migrator.workflow.facts import Facts, reading

SHOWN = 5  # keys of each kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was accepted by name: keep the application's rows, or lose so many of each target."""

    keep_new: bool = False
    lose: Mapping[str, int] | None = None

    def covers(self, loss: Losses) -> bool:
        """Whether a loss is covered."""
        return self.keep_new or loss.rows == 0 or loss.rows <= (self.lose or {}).get(loss.target, 0)


def losses_of(conn: Connection, desk: Desk, facts: Facts, to: Phase | None, show: int = SHOWN) -> tuple[Losses, ...]:
    """Count what a rollback to a phase would lose, by target; `show` is how many keys of each kind are named."""
    if to in {Phase.BACKFILL, Phase.VERIFY}:
        return ()
    with reading(conn, desk):
        others = others_of(conn, desk, facts, drops=to is None)
        return (
            *losses_among(conn, others, show),
            *(_values(conn, facts, others.written) if to is None else ()),
            *_columns(conn, others, show),
            *(_replaced(conn, facts, show) if to is None else ()),
        )


def losses_among(conn: Connection, others: Others, show: int) -> tuple[Losses, ...]:
    """Count the rows that are lost together, by target."""
    relations = dict.fromkeys([*others.dropped, *(one.target.relation for one in others.written)])
    return tuple(_loss(conn, others, relation, show) for relation in relations)


def others_of(
    conn: Connection,
    desk: Desk,
    facts: Facts,
    *,
    drops: bool,
    found: Sequence[Losses] = (),
    gone: Counter[Relation] | None = None,
) -> Others:
    """Look up what is lost together: what was moved, and the tables that the downgrades drop, where they do.

    What was `found` before is what may be lost; `gone` goes on counting.
    """
    written = written_by(conn, desk, facts)
    dropped = dropped_tables(conn, desk, facts) if drops else {}
    columns = dropped_columns(conn, desk, facts, dropped) if drops else {}
    mine = {**{one.target.relation: one.target for one in written}, **dropped}
    pointing = {key.references for table in mine.values() for key in table.referenced_by} - set(mine)
    return Others(
        written=written,
        tables={**inventory.tables(conn, sorted({*pointing, *columns} - set(mine))), **mine},
        dropped=frozenset(dropped),
        columns=columns,
        accepted={one.target: one.foreign for one in found},
        gone=Counter() if gone is None else gone,
    )


def accepted_by(found: Sequence[Losses], facts: Facts, *, keep_new: bool, lose: Sequence[str]) -> Accepted:
    """Read what was accepted by name; a rollback that goes on keeps what was accepted when it began."""
    known = {one.sentence: one for one in found if one.rows}
    unknown = [one for one in lose if one not in known]
    if unknown:
        exact = ", ".join(map(quoted, known)) or "nothing"
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
    """Raise RefusedError M412 for losses that were not accepted by name, M460 for rows that stand in the way."""
    name = desk.change.name
    open_losses = [one for one in found if not accepted.covers(one)]
    if open_losses:
        lines = [_said(one) for one in open_losses]
        # What was accepted already is said again, so that the command does it all.
        words = [word for one in found if one.rows for word in ("--lose", one.sentence)]
        most = max(number for one in open_losses for number in (one.foreign, one.changed, *one.cascades.values()))
        more = (
            f"\nName more of them:              {again('rollback', name, '--show', str(most))}"
            if _are_more(open_losses)
            else ""
        )
        raise RefusedError(
            "M412",
            "rollback would lose " + "\n  and ".join(lines) + ".",
            f"Keep them (the tables stay):    {again('rollback', name, '--keep-new')}\n"
            f"Lose them, saying so:           {again('rollback', name, *words)}{more}",
        )
    if (held := [one for one in found if one.held]) and not accepted.keep_new:
        lines = [
            f"{number:,} rows of {table}{_keys(one, table, number)} point at rows of {one.target} that were moved"
            for one in held
            for table, number in one.held.items()
        ]
        raise RefusedError(
            "M460",
            "rollback cannot take away what others point at: " + "; ".join(lines) + ".",
            f"Keep what they point at (the tables stay):    {again('rollback', name, '--keep-new')}\n"
            "Or first delete these rows, or let them point at something else.",
        )


def _said(loss: Losses) -> str:
    parts = []
    if loss.foreign:
        parts.append(f"{loss.foreign:,} written by the application{_keys(loss, 'foreign', loss.foreign)}")
    if loss.changed:
        parts.append(f"{loss.changed:,} changed by it since they were moved{_keys(loss, 'changed', loss.changed)}")
    parts += [
        f"{number:,} of {table} that hang on ours{_keys(loss, table, number)}"
        for table, number in loss.cascades.items()
    ]
    return f"{loss.sentence}: {', '.join(parts)}"


def _keys(loss: Losses, cause: str, number: int) -> str:
    keys = loss.examples.get(cause, ())
    return f" ({', '.join(keys)}{', …' if len(keys) < number else ''})" if keys else ""


def _are_more(found: Sequence[Losses]) -> bool:
    """Say whether not all keys are named that could be."""
    return any(
        0 < len(one.examples.get(cause, ())) < number
        for one in found
        for cause, number in [("foreign", one.foreign), ("changed", one.changed), *one.cascades.items()]
    )


def _values(conn: Connection, facts: Facts, written: Sequence[Written]) -> Iterator[Losses]:
    """Count the rows, ours aside, that have a value in a column which was added to a table that was there."""
    for wanted in (one for act in acts_done(facts.steps) for one in act.loses):
        ours = not_ours([one for one in written if one.target.relation == wanted.relation])
        number = value(conn, f"SELECT count(*) FROM {wanted.relation.sql} AS t WHERE {wanted.where} AND {ours}")
        yield Losses(target=f"{wanted.relation} {wanted.what}", foreign=int(number))


def _replaced(conn: Connection, facts: Facts, show: int) -> Iterator[Losses]:
    """Count the rows that hold a value which a downgrade will replace by another."""
    for one in (narrowing for info in facts.revisions if info.id in facts.applied for narrowing in info.narrows):
        number = replaced.count(conn, one)
        keys = replaced.examples(conn, one, show) if number else ()
        yield Losses(target=one.what, foreign=number, examples={"foreign": keys} if keys else {})


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
    """Find the tables that the downgrades will drop; one that was there before the change is not among them.

    Nor is a partition whose table goes too: its rows are rows of that one.
    """
    made = [one for step in revision_steps(desk, facts) if step.name in facts.applied for one in step.makes]
    there = tables_found(facts.steps)
    found = inventory.tables(conn, [one for one in made if one not in there])
    above = inventory.parents(conn, found)
    return {one: table for one, table in found.items() if not set(above.get(one, ())) & set(found)}


def dropped_columns(
    conn: Connection, desk: Desk, facts: Facts, dropped: Collection[Relation]
) -> dict[Relation, frozenset[str]]:
    """Find the columns that the downgrades will drop from tables that stay."""
    path, named = desk.database.search_path, dict[Relation, frozenset[str]]()
    for step in expand_steps(desk, facts):
        if not isinstance(step, RunRevision) or step.name not in facts.applied:
            continue
        for relation, name in step.drops:
            found = inventory.find(conn, str(relation), path)
            if found is not None and found not in dropped:
                named[found] = named.get(found, frozenset()) | {name}
    return named


def _columns(conn: Connection, others: Others, show: int) -> Iterator[Losses]:
    """Count the application's values in columns that go from tables that stay."""
    for relation, names in others.columns.items():
        for name in sorted(names):
            found = lost.values(conn, others.tables[relation], name, others.into(relation), show)
            keys = {"foreign": found.keys} if found.keys else {}
            yield Losses(target=f"{relation}.{name}", foreign=found.rows, examples=keys, unit="value")


def _loss(conn: Connection, others: Others, relation: Relation, show: int) -> Losses:
    written, drops = others.into(relation), relation in others.dropped
    foreign = lost.foreign(conn, others.tables[relation], written, show) if drops else Lost()
    # What was handed over is the application's, and no loss while its table stays.
    changed = lost.changed(conn, [one for one in written if drops or not one.handed_over], show)
    cascades, held = (lost.hanging(conn, written, others, kinds, show) for kinds in (FOLLOWS, BLOCKS))
    named = {"foreign": foreign, "changed": changed, **cascades, **held}
    return Losses(
        target=str(relation),
        foreign=foreign.rows,
        changed=changed.rows,
        cascades={name: one.rows for name, one in cascades.items()},
        held={name: one.rows for name, one in held.items()},
        examples={cause: one.keys[:show] for cause, one in named.items() if one.keys},
    )
