"""The Balance: where every row is, recomputed from the tables in one snapshot, never from counters.

The source is counted by itself. Projection, provenance, quarantine and target are joined by key; every combination
that does not belong together is unaccounted, and its keys are named. Before anything was moved the Projection alone
foretells, with every column evaluated.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from migrator.database.connect import Connection
from migrator.database.session import one, rows, value
from migrator.engine.isolate import Raising, raising_rows, without
from migrator.engine.projection.pieces import MOVED, Outcome
from migrator.engine.projection.projection import CODE, DIGEST, MARKS, Projection
from migrator.engine.ranges import Keyset
from migrator.ledger.backfills import Recorded
from migrator.model.names import literal, quote, text_array
from migrator.model.verdict import Balance, SourceBalance, Term, Unaccounted

EXAMPLES: Final = 20

_MISFITS: Final = {
    "dropped": "the Projection has no row for it",
    "orphan": "it has provenance, but its source row is gone",
    "ghost": "it is quarantined, but its source row is gone: migrator quarantine retry forgets it",
    "both": "it is moved, and quarantined as well",
    "lost": "it was moved, but the target row is gone",
    "unskipped": "it would not be moved now, yet it was",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One backfill to be balanced; without `recorded` nothing was ever moved.

    `raising` are rows for which the definition's SQL raises; the Projection leaves them out.
    """

    projection: Projection
    recorded: Recorded | None = None
    provenances: tuple[str, ...] = ()
    raising: tuple[Raising, ...] = ()

    @property
    def keyset(self) -> Keyset:
        """The walk over the source."""
        return Keyset.of_source(self.projection.source, self.projection.keys)

    @property
    def skipped(self) -> str:
        """The codes of skipped rows, as SQL."""
        return ", ".join(str(code) for code in self.projection.codes("skipped")) or "-1"


def sound(conn: Connection, counted: Counted) -> Counted:
    """Find the rows for which the Projection raises, and set them apart."""
    raising = raising_rows(conn, counted.projection)
    return replace(counted, projection=without(counted.projection, raising), raising=raising)


def balance(conn: Connection, counted: Counted) -> Balance:
    """Balance one backfill; the caller's transaction gives the one snapshot."""
    begun = time.monotonic()
    projection = counted.projection
    source_rows = counted.keyset.count(conn)
    foretold = counted.recorded is None
    terms, flags, misfits, seen = _foretell(conn, counted) if foretold else _recount(conn, counted)
    multiplied = max(0, seen - source_rows)
    return Balance(
        backfill=projection.backfill.name,
        source=str(projection.source.relation),
        target=str(projection.target.relation),
        source_rows=source_rows,
        terms=terms,
        unaccounted=misfits + multiplied,
        examples=_examples(conn, counted, multiplied=multiplied) if misfits + multiplied else (),
        foreign=_foreign(conn, counted),
        target_rows=_target_rows(conn, projection),
        flags=flags,
        recorded=not foretold,
        seconds=time.monotonic() - begun,
    )


Found = tuple[tuple[Term, ...], dict[str, int], int, int]


def _foretell(conn: Connection, counted: Counted) -> Found:
    """Count what the Projection says will become of each row, evaluating every column."""
    projection = counted.projection
    found = rows(
        conn,
        f"WITH p AS MATERIALIZED (SELECT {quote(CODE)} AS code, {quote(MARKS)} AS marks, {quote(DIGEST)} AS digest"
        f" FROM ({projection.select(foretelling=True)}) AS whole)"
        f" SELECT 'code', code::int, count(*), bit_xor(digest) FROM p GROUP BY code"
        f" UNION ALL SELECT 'mark', mark, count(*), NULL FROM p, unnest(marks) AS mark WHERE code = {MOVED} GROUP BY 2"
        f" ORDER BY 1, 2",
    )
    codes = [(int(code), int(number)) for kind, code, number, _ in found if kind == "code"]
    marks = {projection.mark_names[int(mark) - 1]: int(number) for kind, mark, number, _ in found if kind == "mark"}
    reasons = Counter(one.reason for one in counted.raising)
    terms = tuple(_term(projection.outcome(code), number) for code, number in codes)
    terms += tuple(_term(Outcome("quarantined", reason), number) for reason, number in reasons.items())
    return terms, marks, 0, sum(one.rows for one in terms)


def _term(outcome: Outcome, number: int) -> Term:
    return Term(disposition=outcome.disposition, rows=number, reason=outcome.reason, elsewhere=outcome.elsewhere)


def _recount(conn: Connection, counted: Counted) -> Found:
    found = rows(conn, f"{_joined(counted)} SELECT state, code, reason, count(*) FROM joined GROUP BY 1, 2, 3 ORDER BY 2, 3")
    terms: list[Term] = []
    for state, code, reason, number in found:
        if state in _MISFITS:
            continue
        terms.append(_recounted(counted.projection, str(state), code, reason, int(number)))
    misfits = sum(int(number) for state, _, _, number in found if state in _MISFITS)
    seen = sum(int(number) for state, _, _, number in found if state not in {"orphan", "ghost"})
    return tuple(terms), _flags(conn, counted), misfits, seen


def _recounted(projection: Projection, state: str, code: int | None, reason: str | None, number: int) -> Term:
    if state == "skipped" and code is not None:
        return _term(projection.outcome(code), number)
    if state == "pending" and code is not None:
        outcome = projection.outcome(code)
        fate = f"quarantined: {outcome.reason}" if outcome.reason else "moved or merged"
        return Term(disposition="pending", rows=number, reason=f"to be {fate}")
    if state == "raising":
        return Term(disposition="pending", rows=number, reason="to be quarantined: the definition's SQL raises")
    return Term(disposition=state, rows=number, reason=reason or "")


def _joined(counted: Counted) -> str:
    """Write the CTEs that put source, Projection, provenance, quarantine and target side by side, as `joined`."""
    projection, recorded, keyset = counted.projection, counted.recorded, counted.keyset
    assert recorded is not None  # only a recorded backfill is recounted
    numbers = range(1, len(projection.keys) + 1)
    keys = ", ".join(f"{name} AS k{n}" for n, name in enumerate(keyset.names, 1))
    ours = ", ".join(f"{name} AS k{n}" for n, name in zip(numbers, projection.key_columns(), strict=True))
    p_on = " AND ".join(f"p.k{n} = src.k{n}" for n in numbers)
    v_on = " AND ".join(f"v.s{n} = src.k{n}" for n in numbers)
    texts = ", ".join(f"COALESCE(src.k{n}, v.s{n})::text" for n in numbers)
    t_on = " AND ".join(f"t.{quote(c.name)} = v.t{n}" for n, c in enumerate(projection.identity, 1))
    raising = " OR ".join(
        "(" + " AND ".join(f"src.k{n}::text = {literal(part)}" for n, part in enumerate(one.key, 1)) + ")"
        for one in counted.raising
    )
    present = f"t.{quote(projection.identity[0].name)}"
    return f"""WITH src AS (SELECT {keys} FROM {keyset.relation} AS {keyset.alias}),
p AS (SELECT {ours}, {quote(CODE)}::int AS code FROM ({projection.select(merging=False)}) AS whole),
q AS (SELECT source_key, reason, status FROM migrator.quarantine WHERE backfill = {recorded.id}),
joined AS (SELECT CASE
    WHEN src.k1 IS NULL AND v.s1 IS NOT NULL THEN 'orphan'
    WHEN src.k1 IS NULL THEN 'ghost'
    WHEN v.s1 IS NOT NULL AND q.source_key IS NOT NULL THEN 'both'
    WHEN v.s1 IS NULL AND q.status = 'open' THEN 'quarantined'
    WHEN v.s1 IS NULL AND q.status = 'dismissed' THEN 'dismissed'
    WHEN {raising or "false"} THEN CASE WHEN v.s1 IS NULL THEN 'raising' ELSE 'unskipped' END
    WHEN p.k1 IS NULL THEN 'dropped'
    WHEN v.s1 IS NOT NULL AND {present} IS NULL THEN 'lost'
    WHEN v.s1 IS NOT NULL AND p.code IN ({counted.skipped}) THEN 'unskipped'
    WHEN v.s1 IS NOT NULL THEN v.kind
    WHEN p.code IN ({counted.skipped}) THEN 'skipped'
    ELSE 'pending' END AS state,
    CASE WHEN v.s1 IS NULL AND q.source_key IS NULL THEN p.code END AS code, q.reason,
    CASE WHEN src.k1 IS NULL AND v.s1 IS NULL THEN q.source_key ELSE ARRAY[{texts}] END AS key
  FROM src LEFT JOIN p ON {p_on} FULL JOIN {recorded.provenance} AS v ON {v_on}
  LEFT JOIN {projection.target.relation.sql} AS t ON {t_on}
  FULL JOIN q ON q.source_key = ARRAY[{texts}])"""


def _examples(conn: Connection, counted: Counted, *, multiplied: int) -> tuple[Unaccounted, ...]:
    if counted.recorded is None:
        return ()
    misfits = text_array(_MISFITS)
    found = rows(
        conn,
        f"{_joined(counted)} SELECT key, state FROM joined WHERE state = ANY ({misfits}) ORDER BY 2, 1 LIMIT {EXAMPLES}",
    )
    named = [Unaccounted(key=tuple(str(part) for part in key), why=_MISFITS[state]) for key, state in found]
    if multiplied:
        doubles = rows(conn, f"{_joined(counted)} SELECT key FROM joined GROUP BY 1 HAVING count(*) > 1 LIMIT {EXAMPLES}")
        named += [Unaccounted(key=tuple(map(str, key)), why="the Projection has several rows") for (key,) in doubles]
    return tuple(named[:EXAMPLES])


def _flags(conn: Connection, counted: Counted) -> dict[str, int]:
    recorded = counted.recorded
    assert recorded is not None  # only a recorded backfill is recounted
    found = rows(
        conn,
        f"SELECT d.marks[marked.mark], sum(marked.number)::bigint FROM (SELECT definition, mark, count(*) AS number"
        f" FROM {recorded.provenance}, unnest(marks) AS mark WHERE kind = 'moved' GROUP BY 1, 2) AS marked"
        f" JOIN migrator.definition d ON d.backfill = {recorded.id} AND d.number = marked.definition"
        " GROUP BY 1 ORDER BY 1",
    )
    return {str(name): int(number) for name, number in found}


def _target_rows(conn: Connection, projection: Projection) -> int:
    if not projection.target_exists:
        return 0
    return int(value(conn, f"SELECT count(*) FROM {projection.target.relation.sql}"))


def _foreign(conn: Connection, counted: Counted) -> int:
    """Count target rows that no provenance knows."""
    if not counted.projection.target_exists:
        return 0
    known = " AND ".join(
        f"NOT EXISTS (SELECT FROM {table} AS known WHERE "
        + " AND ".join(f"known.t{n} = t.{quote(c.name)}" for n, c in enumerate(counted.projection.identity, 1))
        + ")"
        for table in counted.provenances
    )
    target = counted.projection.target.relation.sql
    return int(value(conn, f"SELECT count(*) FROM {target} AS t WHERE {known or 'true'}"))


def source_balance(conn: Connection, together: Sequence[Counted]) -> SourceBalance:
    """Balance one source over all its backfills: every key taken, or left behind by rules that all say so.

    A row skipped as `elsewhere` must be taken by the backfill that the rule names.
    """
    first = together[0]
    keyset = first.keyset
    joins = " ".join(f"LEFT JOIN ({_fates(one)}) AS f{n} ON {_same_key(one, n)}" for n, one in enumerate(together))
    taken = " OR ".join(f"f{n}.taken" for n in range(len(together)))
    broken = " OR ".join(_unkept(together, n) for n in range(len(together)))
    behind = " AND ".join(f"NOT f{n}.taken" for n in range(len(together)))
    states = (
        f"SELECT {keyset.texts} AS key, CASE WHEN {_raises(together)} THEN 'taken'"
        f" WHEN COALESCE({broken}, true) THEN 'unaccounted' WHEN {taken} THEN 'taken' WHEN {behind} THEN 'behind' ELSE 'unaccounted' END AS state"
        f" FROM {keyset.relation} AS {keyset.alias} {joins}"
    )
    found = one(
        conn,
        "SELECT count(*), count(*) FILTER (WHERE state = 'taken'), count(*) FILTER (WHERE state = 'behind'),"
        f" count(*) FILTER (WHERE state = 'unaccounted') FROM ({states}) AS states",
    )
    assert found is not None  # an aggregate
    examples = rows(conn, f"SELECT key FROM ({states}) AS s WHERE state = 'unaccounted' ORDER BY 1 LIMIT {EXAMPLES}")
    why = "skipped as a row of another backfill, which does not take it"
    return SourceBalance(
        source=str(first.projection.source.relation),
        source_rows=int(found[0]),
        taken=int(found[1]),
        left_behind=int(found[2]),
        unaccounted=int(found[3]),
        examples=tuple(Unaccounted(key=tuple(map(str, key)), why=why) for (key,) in examples),
    )


def _raises(together: Sequence[Counted]) -> str:
    """Write the condition that a row raises, or is held in quarantine for it, in some backfill: that one takes it."""
    found = []
    for one in together:
        found += [one.keyset.at(raising.key) for raising in one.raising]
        if one.recorded is not None:
            found.append(
                f"EXISTS (SELECT FROM migrator.quarantine AS q WHERE q.backfill = {one.recorded.id}"
                f" AND q.sqlstate IS NOT NULL AND q.source_key = {one.keyset.texts})"
            )
    return " OR ".join(found) or "false"


def _same_key(counted: Counted, number: int) -> str:
    keys = counted.projection.key_columns(f"f{number}")
    alias = quote(counted.projection.source.relation.name)
    names = counted.projection.source_keys(alias)
    return " AND ".join(f"{key} = {name}" for key, name in zip(keys, names, strict=True))


def _fates(counted: Counted) -> str:
    """Write the SELECT of (key, code, taken) for one backfill; a row still pending counts as taken."""
    projection, recorded = counted.projection, counted.recorded
    keys = projection.key_columns("p")
    takes = f"p.{quote(CODE)} NOT IN ({counted.skipped})"
    if recorded is not None:
        on = " AND ".join(f"v.s{n} = {key}" for n, key in enumerate(keys, 1))
        texts = ", ".join(f"{key}::text" for key in keys)
        takes += f" OR EXISTS (SELECT FROM {recorded.provenance} AS v WHERE {on})"
        takes += (
            f" OR EXISTS (SELECT FROM migrator.quarantine AS q WHERE q.backfill = {recorded.id}"
            f" AND q.source_key = ARRAY[{texts}])"
        )
    return f"SELECT {', '.join(keys)}, p.{quote(CODE)} AS code, ({takes}) AS taken FROM ({projection.select(merging=False)}) AS p"


def _unkept(together: Sequence[Counted], number: int) -> str:
    """Write the condition that a skip's promise is broken: the backfill it names does not take the row."""
    places = {one.projection.backfill.name: n for n, one in enumerate(together)}
    tests = [
        f"(f{number}.code = {code} AND NOT f{number}.taken AND NOT f{places[outcome.elsewhere]}.taken)"
        for code, outcome in enumerate(together[number].projection.outcomes)
        if outcome.elsewhere in places
    ]
    return " OR ".join(str(test) for test in tests) or "false"
