"""The Balance: where every row is, recomputed from the tables in one snapshot, never from counters.

The source is counted by itself. Projection, provenance, quarantine and target are joined by key; every combination
that does not belong together is unaccounted, and its keys are named. Before anything was moved the Projection alone
foretells, with every column evaluated.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import Row, rows, transaction, value
from migrator.engine.accounts import MISFITS, Counted, counts_sql, examples_sql
from migrator.engine.isolate import is_row_fault, raising_rows, without
from migrator.engine.prepare import Prepared
from migrator.engine.projection.pieces import Outcome
from migrator.engine.projection.projection import Projection
from migrator.model.names import quote
from migrator.model.verdict import Balance, SourceBalance, Term, Unaccounted

EXAMPLES: Final = 20
_GONE: Final = frozenset({"orphan", "ghost", "past"})
_WHY: Final = {
    **MISFITS,
    "multiplied": "the Projection has several rows for it",
    "unaccounted": "it is skipped as a row of another backfill, which does not take it",
}


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the counts of a backfill."""

    state: str
    code: int | None
    reason: str | None
    rows: int


def _sound(conn: Connection, counted: Counted) -> Counted:
    """Find the rows for which the Projection raises, and set them apart."""
    raising = raising_rows(conn, counted.projection)
    return replace(counted, projection=without(counted.projection, raising), raising=raising)


def _all_sound(conn: Connection, together: Sequence[Counted]) -> list[Counted]:
    """Find the rows of each backfill for which its Projection raises, also where a later one looks at an earlier."""
    found: dict[str, Counted] = {}
    for one in together:
        coming = [
            found[earlier.backfill.name].still_to_come if earlier.backfill.name in found else earlier
            for earlier in one.projection.coming
        ]
        name = one.projection.backfill.name
        found[name] = _sound(conn, replace(one, projection=one.projection.awaiting(coming)))
    return list(found.values())


def balances_of(
    conn: Connection, prepared: Sequence[Prepared], search_path: str, compared: Mapping[str, int] | None = None
) -> tuple[tuple[Balance, ...], tuple[SourceBalance, ...]]:
    """Balance every backfill and every source in one snapshot; `compared` rows of a backfill were just looked at."""
    known = compared or {}
    with transaction(conn, read_only=True, isolation="repeatable read", search_path=search_path, work_mem="128MB"):
        counted = [one.counted for one in prepared]
        try:
            with conn.transaction():
                named = [replace(one, compared=known.get(one.projection.backfill.name)) for one in counted]
                return _balanced_together(conn, named)
        except SqlError as error:
            if not is_row_fault(error):
                raise
        return _balanced_together(conn, _all_sound(conn, counted))


def _balanced_together(
    conn: Connection, counted: Sequence[Counted]
) -> tuple[tuple[Balance, ...], tuple[SourceBalance, ...]]:
    sources: dict[tuple[str, str], list[Counted]] = {}
    for one in counted:
        sources.setdefault((str(one.projection.source.relation), one.only), []).append(one)
    found = [_balance_source(conn, group) for group in sources.values()]
    by_name = {one.backfill: one for balances, _ in found for one in balances}
    return tuple(by_name[one.projection.backfill.name] for one in counted), tuple(source for _, source in found)


def _balance_source(conn: Connection, together: Sequence[Counted]) -> tuple[tuple[Balance, ...], SourceBalance]:
    """Balance the backfills of one source, and the source; the caller's transaction gives the one snapshot."""
    begun = time.monotonic()
    source_rows = together[0].keyset.count(conn, together[0].only)
    # What was compared of more or fewer rows says nothing of these.
    together = [one if one.compared == source_rows else replace(one, compared=None) for one in together]
    found = rows(conn, counts_sql(together))
    seconds = time.monotonic() - begun
    by_place = [[_line(row) for row in found if row[0] == "b" and row[1] == n] for n in range(len(together))]
    states = {str(row[2]): int(row[5]) for row in found if row[0] == "s"}
    troubled = states.get("unaccounted", 0) or any(_misfits(lines, source_rows) for lines in by_place)
    examples = rows(conn, examples_sql(together, EXAMPLES)) if troubled else []
    balances = tuple(
        _balance(conn, one, lines, source_rows, _marks(found, n, one), _examples(examples, "b", n), seconds)
        for n, (one, lines) in enumerate(zip(together, by_place, strict=True))
    )
    return balances, SourceBalance(
        source=str(together[0].projection.source.relation),
        source_rows=source_rows,
        taken=states.get("taken", 0),
        left_behind=states.get("behind", 0),
        unaccounted=states.get("unaccounted", 0),
        examples=_examples(examples, "s", 0),
    )


def _balance(
    conn: Connection,
    counted: Counted,
    lines: Sequence[_Line],
    source_rows: int,
    flags: dict[str, int],
    examples: tuple[Unaccounted, ...],
    seconds: float,
) -> Balance:
    projection = counted.projection
    return Balance(
        backfill=projection.backfill.name,
        source=str(projection.source.relation),
        target=str(projection.target.relation),
        source_rows=source_rows,
        terms=tuple(_terms(counted, lines)),
        unaccounted=_misfits(lines, source_rows),
        examples=examples,
        foreign=_foreign(conn, counted),
        target_rows=_target_rows(conn, projection),
        flags=flags if counted.recorded is None else _flags(conn, counted),
        recorded=counted.recorded is not None,
        seconds=seconds,
    )


def _line(row: Row) -> _Line:
    _, _, state, code, reason, number, _ = row
    return _Line(str(state), None if code is None else int(code), reason, int(number))


def _misfits(lines: Sequence[_Line], source_rows: int) -> int:
    """Count the keys that do not fit, and the rows by which the Projection multiplies others."""
    misfits = sum(one.rows for one in lines if one.state in MISFITS)
    seen = sum(one.rows for one in lines if one.state not in _GONE)
    return misfits + max(0, seen - source_rows)


def _terms(counted: Counted, lines: Sequence[_Line]) -> list[Term]:
    terms = [_term(counted.projection, one) for one in lines if one.state not in {*MISFITS, "raising", "past"}]
    known = Counter(one.reason for one in counted.raising)
    raising = sum(one.rows for one in lines if one.state == "raising")
    if counted.recorded is None:
        return terms + [Term(disposition="quarantined", rows=number, reason=why) for why, number in known.items()]
    if raising:
        terms.append(Term(disposition="pending", rows=raising, reason="to be quarantined: the definition's SQL raises"))
    return terms


def _term(projection: Projection, line: _Line) -> Term:
    outcome = Outcome("moved") if line.code is None else projection.outcome(line.code)
    if line.state in {"foretold", "skipped"}:
        return Term(disposition=outcome.disposition, rows=line.rows, reason=outcome.reason, elsewhere=outcome.elsewhere)
    if line.state == "pending":
        fate = f"quarantined: {outcome.reason}" if outcome.reason else "moved or merged"
        return Term(disposition="pending", rows=line.rows, reason=f"to be {fate}")
    return Term(disposition=line.state, rows=line.rows, reason=line.reason or "")


def _marks(found: Sequence[Row], n: int, counted: Counted) -> dict[str, int]:
    names = counted.projection.mark_names
    return {names[int(row[3]) - 1]: int(row[5]) for row in found if row[0] == "m" and row[1] == n}


def _examples(found: Sequence[Row], kind: str, n: int) -> tuple[Unaccounted, ...]:
    named = [row for row in found if row[0] == kind and row[1] == n]
    return tuple(Unaccounted(key=tuple(map(str, key)), why=_WHY[state]) for _, _, state, key in named)[:EXAMPLES]


def _flags(conn: Connection, counted: Counted) -> dict[str, int]:
    recorded = counted.recorded
    assert recorded is not None  # asked only of a recorded backfill
    found = rows(
        conn,
        f"SELECT d.marks[marked.mark], sum(marked.number)::bigint FROM (SELECT definition, mark, count(*) AS number"
        f" FROM {recorded.provenance} AS known, unnest(marks) AS mark WHERE kind = 'moved' GROUP BY 1, 2) AS marked"
        f" JOIN migrator.definition d ON d.backfill = {recorded.id} AND d.number = marked.definition"
        " GROUP BY 1 ORDER BY 1",
    )
    return {str(name): int(number) for name, number in found}


def _target_rows(conn: Connection, projection: Projection) -> int:
    if not projection.target_exists:
        return 0
    return int(value(conn, f"SELECT count(*) FROM {projection.target.relation.sql}"))


def _foreign(conn: Connection, counted: Counted) -> int:
    """Count target rows that no provenance knows; in place every row was there before."""
    if not counted.projection.target_exists or counted.projection.backfill.in_place:
        return 0
    known = " AND ".join(
        f"NOT EXISTS (SELECT FROM {table} AS known WHERE "
        + " AND ".join(f"known.t{n} = t.{quote(c.name)}" for n, c in enumerate(counted.projection.identity, 1))
        + ")"
        for table in counted.provenances
    )
    target = counted.projection.target.relation.sql
    return int(value(conn, f"SELECT count(*) FROM {target} AS t WHERE {known or 'true'}"))
