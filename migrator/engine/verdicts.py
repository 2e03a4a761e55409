"""Verdicts: how a moved row is told from what it should be, in one statement for a Range, and read from its lines.

Projection, provenance and target are joined by key. What counts as which kind:

    altered   the target row is not what we wrote         stale   the source row is not what we moved
    lost      the target row is gone                      extra   a target row whose source row is gone, or nobody's
    doubled   a second target row of the same source row  pending a source row nobody accounts for yet
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, get_args

from migrator.engine.projection.compiled import CODE, DIGEST
from migrator.engine.projection.images import digest, stored_digest
from migrator.engine.projection.pieces import FOLLOWS, MOVED
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Key, Keyset
from migrator.engine.statements import Writing
from migrator.model.moved_objects import reasons
from migrator.model.names import EXACTLY, key_text, literal, ours, quote, text_array
from migrator.model.tables import TableColumn
from migrator.model.verdict import RowVerdict, VerdictKind

KINDS: Final = get_args(VerdictKind)
RECOGNISED: Final = ours("recognised")


def verdict(
    projection: Projection, kind: str, source: Sequence[str | None], target: Sequence[str | None]
) -> RowVerdict:
    """Read a verdict; behind its kind may stand a note."""
    kind, _, note = kind.partition(": ")
    assert kind in KINDS
    return RowVerdict(
        kind=kind,  # type: ignore[arg-type]  # asserted above
        source_key=_named(projection.keys, source),
        target_key=_named(projection.identity, target),
        note=note,
    )


def _named(columns: tuple[TableColumn, ...], key: Sequence[str | None]) -> Mapping[str, str]:
    return {one.name: text for one, text in zip(columns, key, strict=False) if text is not None}


def of_range(writing: Writing, lo: Key | None, hi: Key | None) -> str:
    """Write the statement: a first row with the number of rows compared, then one row per difference."""
    projection, recorded = writing.projection, writing.recorded
    walked = Keyset.of_provenance(recorded.provenance, projection.keys)
    keys = projection.key_columns("p")
    on = " AND ".join(f"{key} = {name}" for key, name in zip(keys, walked.names, strict=True))
    identity = " AND ".join(
        f"t.{quote(one.name)} = walked.t{number}" for number, one in enumerate(projection.identity, 1)
    )
    source_key = ", ".join(key_text(f"COALESCE({a}, {b})") for a, b in zip(keys, walked.names, strict=True))
    held = f"held.backfill = {recorded.id} AND held.source_key = ARRAY[{', '.join(key_text(k) for k in keys)}]"
    given = f" WHERE NOT EXISTS (SELECT FROM walked WHERE {on})" if projection.backfill.handed_over else ""
    return f"""WITH p AS MATERIALIZED (
  {_projected(writing, lo, hi)}),
walked AS MATERIALIZED (SELECT * FROM {recorded.provenance} AS walked WHERE {walked.within(lo, hi)}),
held AS MATERIALIZED (SELECT * FROM migrator.quarantine WHERE backfill = {recorded.id}),
judged AS (SELECT {_kind(writing)} AS kind, ARRAY[{source_key}] AS source_key, {_target_key(projection)} AS target_key
  FROM p FULL JOIN walked ON {on}
  LEFT JOIN {projection.target.relation.sql} AS t ON {identity}
  LEFT JOIN held ON {held}{_filled_join(writing)})
SELECT NULL::text, NULL::text[], NULL::text[], (SELECT count(*) FROM p{given})
UNION ALL SELECT kind, source_key, target_key, NULL FROM judged WHERE kind IS NOT NULL"""


def _projected(writing: Writing, lo: Key | None, hi: Key | None) -> str:
    """Write what is looked at of the Projection."""
    projection = writing.projection
    near = Keyset.nearby(projection.keys, ours("keyed")).within(lo, hi)
    more = "".join(f", {quote(name)}" for name in projection.backfill.fills)
    more += f", {', '.join(projection.into_columns())}" if projection.grouping else ""
    keys, recognised = ", ".join(projection.key_columns()), projection.recognition("whole")
    return f"""SELECT {keys}, {quote(CODE)}, {quote(DIGEST)}, {recognised} AS {RECOGNISED}{more}
  FROM ({projection.select(writing.keyset.within(lo, hi), near=near, merging=False)}) AS whole"""


def _target_key(projection: Projection) -> str:
    return f"ARRAY[{', '.join(key_text(f'walked.t{number}') for number in range(1, len(projection.identity) + 1))}]"


def _kind(writing: Writing) -> str:
    """Write what a row's verdict is; NULL for one that is as it should be."""
    projection, backfill = writing.projection, writing.projection.backfill
    first = f"t.{quote(projection.identity[0].name)}"
    code = f"p.{quote(CODE)}"
    source_gone = f"{projection.key_columns('p')[0]} IS NULL"
    skipped = ", ".join(str(one) for one in projection.codes("skipped")) or "-1"
    given = "\n  WHEN walked.s1 IS NOT NULL THEN NULL" if backfill.handed_over else ""
    past = f"\n  WHEN {source_gone} THEN NULL" if backfill.in_place else ""
    return f"""CASE
  WHEN walked.s1 IS NULL AND held.backfill IS NOT NULL THEN NULL
  WHEN walked.s1 IS NULL THEN CASE WHEN {code} NOT IN ({skipped}) THEN 'pending' END{given}{past}
  WHEN {source_gone} AND {first} IS NULL THEN 'extra: only its provenance is left'
  WHEN {source_gone} THEN 'extra: its source row is gone'
  WHEN {first} IS NULL THEN 'lost: the target row is gone'
  WHEN held.backfill IS NOT NULL AND NOT {_held_beside(projection, code)} THEN 'stale: moved, and quarantined as well'
{_follows(projection)}  WHEN {_as_projected(projection)} THEN NULL
  WHEN ({_as_written(writing)}) IS NOT TRUE THEN 'altered'
  WHEN {code} = {MOVED} THEN 'stale'{_held_back(projection, code)}
  ELSE 'stale: the source row would not be moved now' END"""


def _as_projected(projection: Projection) -> str:
    """Write the condition that a row would move or merge now, and its target row is what the Projection gives."""
    whole, recognised = digest(projection.compared, of="t"), projection.recognition("t")
    return f"""{_stays(projection)} AND CASE walked.kind WHEN 'merged' THEN {recognised} = p.{RECOGNISED}
    AND {_still_filled(projection, "t")} AND {_still_filled(projection, "p")} ELSE {whole} = p.{quote(DIGEST)} END"""


def _as_written(writing: Writing) -> str:
    """Write the condition that a target row is what was written, or what was merged into."""
    projection = writing.projection
    written = stored_digest(writing.recorded, projection.target, "walked", "t")
    unchanged = f"CASE walked.kind WHEN 'merged' THEN ({projection.recognition('t')}) ELSE {written} END"
    return f"({unchanged} = walked.digest AND {_still_filled(projection, 't')})"


def _stays(projection: Projection) -> str:
    """Write the condition that a row would move or merge now; one that is merged needs no object."""
    code, gates = f"p.{quote(CODE)}", ", ".join(map(str, projection.gates))
    moves = f"{code} = {MOVED}"
    return f"({moves} OR walked.kind = 'merged' AND {code} IN ({gates}))" if gates else moves


def _held_beside(projection: Projection, code: str) -> str:
    """Write the condition that a row that moved is rightly in quarantine: for an object that it does without."""
    names, gates = projection.backfill.objects, ", ".join(map(str, projection.gates)) or "-1"
    known = f"held.reason = ANY ({text_array(reasons(names))})"
    return f"({known} AND (held.status = 'dismissed' OR {code} IN ({gates})))" if names else "false"


def _held_back(projection: Projection, code: str) -> str:
    """Name the object for which a row that moved before would wait now, or be quarantined."""
    gates = projection.gates
    arms = " ".join(f"WHEN {one} THEN {literal(f'stale: {projection.outcome(one).reason}')}" for one in gates)
    return f"\n  WHEN {code} IN ({', '.join(map(str, gates))}) THEN CASE {code} {arms} END" if gates else ""


def _follows(projection: Projection) -> str:
    """Judge a row that follows another: it points where that one's provenance points, and is as recorded."""
    if projection.grouping is None:
        return ""
    same = " AND ".join(f"{one} = walked.t{n}" for n, one in enumerate(projection.into_columns("p"), 1))
    follows, digest = f"p.{quote(CODE)} = {FOLLOWS}", f"p.{quote(DIGEST)}"
    return f"""  WHEN {follows} AND walked.follows AND {same} AND {digest} = walked.digest THEN NULL
  WHEN {follows} AND walked.follows THEN 'stale: its winner became another row'
  WHEN {follows} THEN 'stale: it belongs to another row now'
  WHEN walked.follows THEN 'stale: it stands for itself now'
"""


def _filled_join(writing: Writing) -> str:
    """Join what a merge wrote into empty columns of an application's row."""
    if not writing.projection.backfill.fills:
        return ""
    return (
        f"\n  LEFT JOIN migrator.before_image AS kept ON kept.backfill = {writing.recorded.id}"
        f" AND walked.kind = 'merged' AND kept.target_key = {_target_key(writing.projection)}"
    )


def _still_filled(projection: Projection, of: str) -> str:
    """Write the condition that a row has, in the columns a merge completed, what was written there."""
    tests = [
        f"COALESCE(kept.written ->> {literal(name)} = {of}.{quote(name)}::text {EXACTLY},"
        f" NOT kept.written ? {literal(name)}, true)"
        for name in projection.backfill.fills
    ]
    return f"({' AND '.join(tests)})" if tests else "true"
