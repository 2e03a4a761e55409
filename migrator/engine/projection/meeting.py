"""Meeting: rows of the target that a source row meets. It merges into one of the application's; one of ours bars it.

They are joined twice to the cast row: "same" by the identity, "like" by the merge columns.
"""

from __future__ import annotations

from collections.abc import Iterator

from migrator.engine.projection.compiled import Compiled
from migrator.ledger.provenance import table
from migrator.model.names import ours, quote

_SAME, _LIKE = ours("same"), ours("like")


def joins(of: Compiled, *, few: bool = False) -> list[str]:
    """Find the application's rows: by the identity itself, and by the merge columns.

    For `few` source rows they are looked up one by one, where an index serves it; else the target is read once.
    """
    found = [_join(of, _SAME, of.backfill.identities)]
    if of.backfill.merges:
        other = " OR ".join(
            f"{_LIKE}.{ours(f'id{n}')} <> {of.target_alias}.{quote(one.name)}" for n, one in enumerate(of.identity, 1)
        )
        join = _looked_up if few and of.served and not _is_met_once(of, _LIKE, of.backfill.merges) else _join
        found.append(join(of, _LIKE, of.backfill.merges, extra=f" AND ({other})"))
    return found


def _join(of: Compiled, name: str, by: tuple[str, ...], *, extra: str = "") -> str:
    """Join the target by unique columns; of rows that only resemble, the first that is none of ours.

    The joined columns get names of their own, for a CHECK of the target names its columns plainly.
    """
    identity = [f"candidate.{quote(one.name)}" for one in of.identity]
    there, here = _sides(of, name, by)
    named = [f"{one} AS {ours(f'id{n}')}" for n, one in enumerate(identity, 1)]
    named += [f"{one} AS {ours(f'by{n}')}" for n, one in enumerate(there, 1)]
    on = " AND ".join(f"{name}.{ours(f'by{n}')} = {one}" for n, one in enumerate(here, 1))
    once, where = "", ""
    if not _is_met_once(of, name, by):
        first = ", ".join(there)
        named += [f"count(*) OVER (PARTITION BY {first}) AS {ours('rows')}"] if _is_folded(of, name) else []
        none = " AND ".join(f"NOT EXISTS ({_moved(of, one)})" for one in of.provenances) or "true"
        once, where = f"DISTINCT ON ({first}) ", f" WHERE {none} ORDER BY {', '.join([first, *identity])}"
    return (
        f"\n LEFT JOIN (SELECT {once}{', '.join(named)} FROM {of.target.relation.sql} AS candidate{where})"
        f" AS {name} ON {on}{extra}"
    )


def _looked_up(of: Compiled, name: str, by: tuple[str, ...], *, extra: str = "") -> str:
    """Join what `_join` gives, row by row: plain names are those of the target itself, so that an index is used."""
    alias, sought = of.target_alias, ours("sought")
    identity = [f"{alias}.{quote(one.name)}" for one in of.identity]
    there = [one.text for one in of.folds] or [f"{alias}.{quote(one)}" for one in by]
    given = ", ".join(f"{one} AS {ours(f'by{n}')}" for n, one in enumerate(_sides(of, name, by)[1], 1))
    where = [f"({one}) = {sought}.{ours(f'by{n}')}" for n, one in enumerate(there, 1)]
    where += [f"({_moved(of, one, alias, 'true')} LIMIT 1) IS NULL" for one in of.provenances]
    named = [f"{one} AS {ours(f'id{n}')}" for n, one in enumerate(identity, 1)]
    return (
        f"\n CROSS JOIN LATERAL (SELECT {given}) AS {sought}"
        f"\n LEFT JOIN LATERAL (SELECT {', '.join(named)}, count(*) OVER () AS {ours('rows')}"
        f" FROM {of.target.relation.sql} AS {alias} WHERE {' AND '.join(where)} ORDER BY {', '.join(identity)} LIMIT 1)"
        f" AS {name} ON true{extra}"
    )


def _sides(of: Compiled, name: str, by: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """List what is compared: of the target's rows, and of the Projection's."""
    if _is_folded(of, name):
        return [one.of("candidate") for one in of.folds], [one.of(of.target_alias) for one in of.folds]
    return [f"candidate.{quote(one)}" for one in by], [f"{of.target_alias}.{quote(one)}" for one in by]


def _is_folded(of: Compiled, name: str) -> bool:
    return bool(of.folds) and name == _LIKE


def _is_met_once(of: Compiled, name: str, by: tuple[str, ...]) -> bool:
    return not _is_folded(of, name) and of.target.unique_over(by) is not None


def _moved(of: Compiled, provenance: str, row: str = "candidate", gives: str = "") -> str:
    same = " AND ".join(f"moved.t{n} = {row}.{quote(one.name)}" for n, one in enumerate(of.identity, 1))
    return f"SELECT {gives} FROM {provenance} AS moved WHERE moved.kind = 'moved' AND {same}"


def merges(of: Compiled) -> str:
    """Write the condition that a row merges into one of the application's."""
    sides = [_SAME, _LIKE] if of.backfill.merges else [_SAME]
    return f"({' OR '.join(_is_strangers(of, one) for one in sides)})"


def _is_strangers(of: Compiled, name: str) -> str:
    """Write the condition that a joined row of the target is there and is none of ours.

    The scalar subqueries are probed by index for the few rows that match; EXISTS might be hashed as a whole.
    """
    tests = []
    for provenance in of.provenances:
        same = " AND ".join(f"ours.t{n} = {name}.{ours(f'id{n}')}" for n in range(1, len(of.identity) + 1))
        moved = f"SELECT true FROM {provenance} AS ours WHERE {same} AND ours.kind = 'moved' LIMIT 1"
        tests.append(f"({moved}) IS NULL")
    return f"CASE WHEN {name}.{ours('id1')} IS NOT NULL THEN {' AND '.join(tests) or 'true'} ELSE false END"


def faults(of: Compiled) -> Iterator[str]:
    """List the codes of rows that what they meet keeps from moving, each where it is one."""
    yield from _held_by_ours(of)
    if of.folds:
        yield from _several(of)


def _held_by_ours(of: Compiled) -> Iterator[str]:
    """Find rows whose identity or merge value a row moved from another source row has: the first one holds it.

    Only asked of rows that are not accounted for yet, so that no row meets itself.
    """
    for name, by in ((_SAME, set(of.backfill.identities)), (_LIKE, set(of.backfill.merges))):
        codes = [one.code for one in of.contested if set(one.columns) == by]
        if codes:
            held = f"{name}.{ours('id1')} IS NOT NULL AND NOT ({_is_strangers(of, name)})"
            yield f"CASE WHEN {held} THEN {codes[-1]} END"


def _several(of: Compiled) -> Iterator[str]:
    """Find rows that several rows of the application match, or one that another source row is merged into."""
    yield f"CASE WHEN {_SAME}.{ours('id1')} IS NULL AND {_LIKE}.{ours('rows')} > 1 THEN {of.ambiguous} END"
    if of.recorded is not None:
        into = " AND ".join(f"mine.t{n} = {_LIKE}.{ours(f'id{n}')}" for n in range(1, len(of.identity) + 1))
        merged = f"SELECT true FROM {table(of.recorded)} AS mine WHERE {into} AND mine.kind = 'merged' LIMIT 1"
        yield f"CASE WHEN {_LIKE}.{ours('id1')} IS NOT NULL AND ({merged}) THEN {of.taken} END"


def into(of: Compiled, *, merging: bool) -> list[str]:
    """List the identity of the row merged into; of a row that follows, of what its winner became."""
    found = []
    for number, (one, name) in enumerate(zip(of.identity, of.into_columns(), strict=True), 1):
        value = f"NULL::{one.type.name}" if of.target_exists else "NULL::text"
        if merging:
            same, like = (f"{side}.{ours(f'id{number}')}" for side in (_SAME, _LIKE))
            value = f"COALESCE({same}, {like})" if of.backfill.merges else same
        if of.grouping is not None and of.grouping.recorded is not None:
            value = f"COALESCE({of.target_alias}.{ours(f'lead{number}')}, {value})"
        found.append(f"{value} AS {name}")
    return found
