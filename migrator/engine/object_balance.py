"""The Balance of objects: what rows name now, put side by side with what the Ledger has, in one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import rows, transaction
from migrator.engine import isolate
from migrator.engine.prepare import Prepared
from migrator.engine.statements import Writing
from migrator.ledger import objects
from migrator.model.names import literal
from migrator.model.objects import Outcome
from migrator.model.verdict import ObjectBalance

PENDING, UNLISTED = "pending", "listed no more"
GOOD = frozenset(one.value for one in Outcome if one.good)


def balance_objects(conn: Connection, prepared: Sequence[Prepared], search_path: str) -> tuple[ObjectBalance, ...]:
    """Balance the objects of every backfill that wants some."""
    wanting = [one for one in prepared if one.projection.moving]
    if not wanting:
        return ()
    with transaction(conn, read_only=True, isolation="repeatable read", search_path=search_path):
        return tuple(balance for one in wanting for balance in _balances(conn, one))


def _balances(conn: Connection, prepared: Prepared) -> tuple[ObjectBalance, ...]:
    try:
        with conn.transaction():
            found = rows(conn, _sql(conn, prepared))
    except SqlError as error:
        if not isolate.is_row_fault(error):
            raise
        raising = isolate.raising_rows(conn, prepared.projection)
        sound = replace(prepared, projection=isolate.without(prepared.projection, raising))
        found = rows(conn, _sql(conn, sound))
    counts = {one.name: dict[str, tuple[int, int]]() for one in prepared.projection.moving}
    for name, state, number, size in found:
        counts[str(name)][str(state)] = (int(number), int(size))
    return tuple(_balance(prepared.projection.backfill.name, name, states) for name, states in counts.items())


def _balance(backfill: str, name: str, states: dict[str, tuple[int, int]]) -> ObjectBalance:
    known = {state: number for state, (number, _) in states.items()}
    unlisted = known.pop(UNLISTED, 0)
    return ObjectBalance(
        backfill=backfill,
        name=name,
        listed=sum(known.values()),
        copied=known.get(Outcome.COPIED.value, 0),
        there=known.get(Outcome.THERE.value, 0),
        faults={state: known[state] for state in sorted(known) if state not in GOOD | {PENDING}},
        pending=known.get(PENDING, 0),
        bytes=sum(size for state, (_, size) in states.items() if state in GOOD),
        unlisted=unlisted,
    )


def _sql(conn: Connection, prepared: Prepared) -> str:
    """Count objects by name and state: what became of each that a row names, and those that no row names any more."""
    projection = prepared.projection
    listed = projection.objects()
    if prepared.recorded is not None:
        listed = Writing(projection=projection, recorded=prepared.recorded, run=0).objects(None, None)
    names = ", ".join(literal(one.name) for one in projection.moving)
    known = (
        f"SELECT name, source_key, from_bucket, from_key, to_bucket, to_key, outcome, size FROM {objects.TABLE}"
        f" WHERE change = {literal(prepared.change.name)} AND backfill = {literal(projection.backfill.name)}"
        f" AND kind = 'copy' AND name IN ({names})"
    )
    if prepared.recorded is not None:  # a row that was dismissed has no objects, from that moment on
        known += (
            f" AND NOT EXISTS (SELECT FROM migrator.quarantine AS held WHERE held.backfill = {prepared.recorded.id}"
            f" AND held.source_key = {objects.TABLE}.source_key AND held.status = 'dismissed')"
        )
    if not objects.is_kept(conn):
        return f"SELECT name, {literal(PENDING)}, count(*), 0 FROM ({listed}) AS w GROUP BY name"
    # What was handed over is the application's, and its objects stay as they are.
    gone = "coalesce(o.outcome, 'pending')" if projection.backfill.handed_over else literal(UNLISTED)
    same = (
        "(w.source_bucket, w.target_bucket, w.target_key) = (o.from_bucket, o.to_bucket, o.to_key)"
        " AND o.from_key = ANY (w.source_key_ || w.or_keys)"
    )
    return (
        f"WITH w AS MATERIALIZED ({listed}), o AS MATERIALIZED ({known})"
        f" SELECT coalesce(w.name, o.name), CASE WHEN w.name IS NULL THEN {gone}"
        f" WHEN {same} AND o.outcome IS NOT NULL THEN o.outcome ELSE {literal(PENDING)} END,"
        " count(*), coalesce(sum(o.size), 0)::bigint"
        " FROM w FULL JOIN o ON o.name = w.name AND o.source_key = w.source_key GROUP BY 1, 2"
    )
