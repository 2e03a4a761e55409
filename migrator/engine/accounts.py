"""The one statement behind the Balances of a source: every table read once, put side by side by key.

For each backfill n: `p` is its Projection, `q` its quarantine, `j` both with provenance and target beside the source,
one row for each key with the state it is in. States that do not belong together are misfits; *past* is a row that was
written and whose source row is gone, where that is the application's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from migrator.engine.blame import Blame
from migrator.engine.projection.compiled import CODE, DIGEST, MARKS
from migrator.engine.projection.pieces import FOLLOWING, MOVED
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Keyset
from migrator.engine.statements import Writing
from migrator.ledger.backfills import Recorded
from migrator.model.moved_objects import reasons
from migrator.model.names import key_text, literal, quote, text_array

MISFITS: Final = {
    "dropped": "the Projection has no row for it",
    "orphan": "it has provenance, but its source row is gone",
    "ghost": "it is quarantined, but its source row is gone: `quarantine retry` forgets it",
    "both": "it is moved, and quarantined as well",
    "lost": "it was moved, but the target row is gone",
    "unskipped": "it would not be moved now, yet it was",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One backfill to be balanced; without `recorded` nothing was ever moved, and the Projection foretells.

    `raising` are rows for which the definition's SQL raises; the Projection leaves them out. `only` is a condition on
    source rows where a part of them is balanced, `held` the same on quarantined ones. `compared` is the number of
    source rows that were just compared without a difference: of those that moved the Projection is not asked again.
    """

    projection: Projection
    recorded: Recorded | None = None
    provenances: tuple[str, ...] = ()
    raising: tuple[Blame, ...] = ()
    only: str = "true"
    held: str = "true"
    compared: int | None = None

    @property
    def keyset(self) -> Keyset:
        """The walk over the source."""
        return Keyset.of_source(self.projection.source, self.projection.keys)

    @property
    def still_to_come(self) -> Projection:
        """The Projection over the rows that nobody accounts for yet."""
        if self.recorded is None:
            return self.projection
        writing = Writing(projection=self.projection, recorded=self.recorded, run=0)
        return self.projection.without(writing.unaccounted_for())

    @property
    def skipped(self) -> str:
        """The codes of skipped rows, as SQL."""
        return ", ".join(str(code) for code in self.projection.codes("skipped")) or "-1"

    @property
    def key_names(self) -> list[str]:
        """The key columns' names, quoted."""
        return [quote(one.name) for one in self.projection.keys]


def counts_sql(together: Sequence[Counted]) -> str:
    """Count rows by (kind, backfill's place, state, code, reason): 'b' of a backfill, 'm' its marks, 's' the source."""
    parts = [
        f"SELECT 'b', {n}, state, code, reason, count(*), bit_xor(digest) FROM j{n} GROUP BY state, code, reason"
        for n in range(len(together))
    ]
    parts += [
        f"SELECT 'm', {n}, NULL, mark, NULL, count(*), NULL FROM p{n}, unnest(marks) AS mark"
        f" WHERE code = {MOVED} GROUP BY mark"
        for n, one in enumerate(together)
        if one.recorded is None
    ]
    parts.append("SELECT 's', 0, state, NULL, NULL, count(*), NULL FROM s GROUP BY state")
    return f"{_tables(together)}\n{' UNION ALL '.join(parts)} ORDER BY 1, 2, 4, 5"


def examples_sql(together: Sequence[Counted], limit: int) -> str:
    """Name the keys of misfits, by (kind, backfill's place, state, key)."""
    misfits = text_array(MISFITS)
    parts = [
        f"(SELECT 'b', {n}, state, key FROM j{n} WHERE state = ANY ({misfits}) ORDER BY state, key LIMIT {limit})"
        for n in range(len(together))
    ]
    parts += [
        f"(SELECT 'b', {n}, 'multiplied', key FROM j{n} GROUP BY key HAVING count(*) > 1 ORDER BY key LIMIT {limit})"
        for n in range(len(together))
    ]
    parts.append(f"(SELECT 's', 0, state, key FROM s WHERE state = 'unaccounted' ORDER BY key LIMIT {limit})")
    return f"{_tables(together)}\n{' UNION ALL '.join(parts)}"


def _tables(together: Sequence[Counted]) -> str:
    first = together[0].keyset
    names = dict.fromkeys(name for one in together for name in one.key_names)
    keys = ", ".join(f"{first.alias}.{name}" for name in names)
    ctes = [f"src AS MATERIALIZED (SELECT {keys} FROM {first.relation} AS {first.alias} WHERE {together[0].only})"]
    for n, one in enumerate(together):
        ctes += [_projected(n, one), *([] if one.recorded is None else [_held(n, one, one.recorded)]), _joined(n, one)]
    return "WITH " + ",\n".join([*ctes, f"s AS ({_over_all(together)})"])


def _projected(n: int, counted: Counted) -> str:
    projection, foretelling = counted.projection, counted.recorded is None
    keys = ", ".join(f"{name} AS k{at}" for at, name in enumerate(projection.key_columns(), 1))
    # Foretelling evaluates every column, by its digest; later the comparison does, and here the code is enough.
    every = f", {quote(DIGEST)} AS digest, {quote(MARKS)} AS marks" if foretelling else ", NULL::bigint AS digest"
    projection = projection if counted.compared is None else counted.still_to_come
    select = projection.select(merging=foretelling, foretelling=foretelling, awaiting=True)
    return f"p{n} AS MATERIALIZED (SELECT {keys}, {quote(CODE)}::int AS code{every} FROM ({select}) AS whole)"


def _held(n: int, counted: Counted, recorded: Recorded) -> str:
    where = f"backfill = {recorded.id} AND {counted.held}"
    return f"q{n} AS (SELECT source_key, reason, status FROM migrator.quarantine WHERE {where})"


def _joined(n: int, counted: Counted) -> str:
    if counted.recorded is None:
        return _foretold(n, counted)
    projection, recorded = counted.projection, counted.recorded
    named = list(enumerate(counted.key_names, 1))
    texts = ", ".join(key_text(f"COALESCE(src.{name}, v.s{at})") for at, name in named)
    p_on = " AND ".join(f"p.k{at} = src.{name}" for at, name in named)
    v_on = " AND ".join(f"v.s{at} = src.{name}" for at, name in named)
    t_on = " AND ".join(f"t.{quote(one.name)} = v.t{at}" for at, one in enumerate(projection.identity, 1))
    backfill = projection.backfill
    past = "past" if backfill.in_place or backfill.handed_over else "orphan"
    given = "\n    WHEN v.s1 IS NOT NULL THEN v.kind" if backfill.handed_over else ""
    reason = (
        "q.reason"
        if projection.grouping is None
        else f"CASE WHEN v.follows THEN {literal(FOLLOWING)} ELSE q.reason END"
    )
    dropped = "p.k1 IS NULL" if counted.compared is None else "p.k1 IS NULL AND v.s1 IS NULL"
    gone, present = f"src.{counted.key_names[0]} IS NULL", f"t.{quote(projection.identity[0].name)}"
    return f"""j{n} AS MATERIALIZED (SELECT {", ".join(f"src.{name} AS k{at}" for at, name in named)}, CASE
    WHEN {gone} AND v.s1 IS NOT NULL THEN '{past}'
    WHEN {gone} THEN 'ghost'
    WHEN v.s1 IS NOT NULL AND q.source_key IS NOT NULL AND NOT {_held_back(counted)} THEN 'both'{given}
    WHEN v.s1 IS NULL AND q.status = 'open' THEN 'quarantined'
    WHEN v.s1 IS NULL AND q.status = 'dismissed' THEN 'dismissed'
    WHEN {_raises(counted)} THEN CASE WHEN v.s1 IS NULL THEN 'raising' ELSE 'unskipped' END
    WHEN {dropped} THEN 'dropped'
    WHEN v.s1 IS NOT NULL AND {present} IS NULL THEN 'lost'
    WHEN v.s1 IS NOT NULL AND p.code IN ({counted.skipped}) THEN 'unskipped'
    WHEN q.status = 'open' THEN 'quarantined'
    WHEN q.status = 'dismissed' THEN 'dismissed'
    WHEN v.s1 IS NOT NULL THEN v.kind
    WHEN p.code IN ({counted.skipped}) THEN 'skipped'
    ELSE 'pending' END AS state,
    CASE WHEN v.s1 IS NULL AND q.source_key IS NULL THEN p.code END AS code, {reason} AS reason, p.digest,
    CASE WHEN {gone} AND v.s1 IS NULL THEN q.source_key ELSE ARRAY[{texts}] END AS key
  FROM src LEFT JOIN p{n} AS p ON {p_on} FULL JOIN {recorded.provenance} AS v ON {v_on}
  LEFT JOIN {projection.target.relation.sql} AS t ON {t_on}
  FULL JOIN q{n} AS q ON q.source_key = ARRAY[{texts}])"""


def _foretold(n: int, counted: Counted) -> str:
    named = list(enumerate(counted.key_names, 1))
    p_on = " AND ".join(f"p.k{at} = src.{name}" for at, name in named)
    texts = ", ".join(key_text(f"src.{name}") for _, name in named)
    return f"""j{n} AS MATERIALIZED (SELECT {", ".join(f"src.{name} AS k{at}" for at, name in named)}, CASE
    WHEN {_raises(counted)} THEN 'raising'
    WHEN p.k1 IS NULL THEN 'dropped'
    WHEN p.code IN ({counted.skipped}) THEN 'skipped'
    ELSE 'foretold' END AS state, p.code, NULL::text AS reason, p.digest, ARRAY[{texts}] AS key
  FROM src LEFT JOIN p{n} AS p ON {p_on})"""


def _held_back(counted: Counted) -> str:
    """Write the condition that a row is in quarantine for an object: it may have moved before without it."""
    names = counted.projection.backfill.objects
    return f"(v.kind = 'moved' AND q.reason = ANY ({text_array(reasons(names))}))" if names else "false"


def _raises(counted: Counted) -> str:
    names = counted.key_names
    tests = [
        " AND ".join(f"src.{name}::text = {literal(part)}" for name, part in zip(names, one.key, strict=True))
        for one in counted.raising
    ]
    return " OR ".join(f"({one})" for one in tests) or "false"


def _over_all(together: Sequence[Counted]) -> str:
    """Judge each key of the source over all its backfills: taken, left behind by name, or unaccounted for."""
    joins = " ".join(
        f"LEFT JOIN j{n} ON {' AND '.join(f'j{n}.k{at} = src.{name}' for at, name in enumerate(one.key_names, 1))}"
        for n, one in enumerate(together)
    )
    taken = " OR ".join(f"j{n}.state <> 'skipped'" for n in range(len(together)))
    unkept = " OR ".join(test for n in range(len(together)) for test in _unkept(together, n)) or "false"
    return (
        f"SELECT j0.key, CASE WHEN {unkept} THEN 'unaccounted' WHEN {taken} THEN 'taken' ELSE 'behind' END AS state"
        f" FROM src {joins}"
    )


def _unkept(together: Sequence[Counted], n: int) -> list[str]:
    """Write the conditions that a skip's promise is broken: the backfill it names does not take the row."""
    places = {one.projection.backfill.name: place for place, one in enumerate(together)}
    return [
        f"(j{n}.state = 'skipped' AND j{n}.code = {code} AND j{places[outcome.elsewhere]}.state = 'skipped')"
        for code, outcome in enumerate(together[n].projection.outcomes)
        if outcome.elsewhere in places
    ]
