"""Which objects rows name, as the Ledger has it: brought up to date with what a definition says of the rows now.

What is listed anew, or under other names than before, is `another row has this key` until all is listed; then each key
is given to the first row that wants it. What a copy made under a former name is set aside, and never forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from migrator.database.connect import Connection
from migrator.database.session import execute, one, value
from migrator.ledger.objects import CONTESTED, FORMER, MADE, TABLE, declared_key, target_key
from migrator.model.names import literal
from migrator.model.objects import Outcome

_NAMES = ("from_bucket", "from_key", "to_bucket", "to_key")
_FOUND = ("source_bucket", "target_bucket", "extension", "size", "etag", "content_type", "since", "detail", "evidence")
_PLACE = "array_position(w.from_key || w.or_keys, o.from_key)"
# One that was given up because there is no such bucket was not looked for.
_LOOKED_FOR = f"o.outcome = {literal(Outcome.MISSING.value)} AND o.target_bucket IS NOT NULL"
_MADE = ("made_etag", "made_version", "made_size", "made_checksums", "not_kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The list of one backfill by one run. `bucket` is what is meant where a definition names none."""

    change: str
    backfill: str
    bucket: str
    run: int

    def add(self, conn: Connection, listed: str, key_types: Sequence[str]) -> tuple[int, int]:
        """Write down what a SELECT lists; gives how many objects that were, and how many of them are new.

        Its columns are `source_key`, `name`, `source_bucket`, `source_key_`, `target_bucket`, `target_key`, `or_keys`.
        An object that was looked for and is not there is written down under the next of its keys.
        """
        order = ", ".join(f"w.source_key[{n}]::{name}" for n, name in enumerate(key_types, 1))
        looked_for = f"{_LOOKED_FOR} AND o.from_bucket = w.from_bucket AND NOT {self._moved_away('o')}"
        next_key = f"CASE WHEN {looked_for} THEN (w.from_key || w.or_keys)[{_PLACE} + 1] END"
        cleared = ", ".join(f"{name} = NULL" for name in (*_FOUND, *_MADE))
        found = one(
            conn,
            f"WITH wanted AS MATERIALIZED ({self._wanted(listed)}),"
            f" other AS MATERIALIZED (SELECT o AS old, w.from_bucket, coalesce({next_key}, w.from_key) AS from_key,"
            f" w.to_bucket, w.to_key FROM wanted AS w JOIN {TABLE} AS o ON {self._is('o')} AND o.name = w.name"
            f" AND o.source_key = w.source_key WHERE NOT {_same('o', 'w')} OR {next_key} IS NOT NULL"
            f" OR {self._moved_away('o')} FOR UPDATE OF o),"
            f" aside AS (INSERT INTO {FORMER} SELECT (old).* FROM other WHERE {_made('(old)')}),"
            f" changed AS (UPDATE {TABLE} AS o SET id = DEFAULT, outcome = {CONTESTED}, {cleared},"
            f" {', '.join(f'{name} = other.{name}' for name in _NAMES)} FROM other WHERE o.id = (other.old).id),"
            f" added AS (INSERT INTO {TABLE}"
            f" (change, backfill, name, source_key, {', '.join(_NAMES)}, outcome, run)"
            f" SELECT {literal(self.change)}, {literal(self.backfill)}, w.name, w.source_key,"
            f" {', '.join(f'w.{name}' for name in _NAMES)}, {CONTESTED}, {self.run} FROM wanted AS w"
            f" WHERE NOT EXISTS (SELECT FROM {TABLE} AS o WHERE {self._is('o')} AND o.name = w.name"
            f" AND o.source_key = w.source_key) ORDER BY {order}, w.name"
            " ON CONFLICT (change, backfill, name, source_key) DO NOTHING RETURNING 1)"
            " SELECT (SELECT count(*) FROM wanted), (SELECT count(*) FROM added)",
        )
        assert found is not None  # it counts
        return int(found[0]), int(found[1])

    def analyze(self, conn: Connection) -> None:
        """Refresh what the planner knows of a table that grows from nothing, before it looks up thousands in it."""
        execute(conn, f"ANALYZE {TABLE}")

    def count(self, conn: Connection, unwanted: Collection[str]) -> int:
        """Count the objects that are written down, but for those of names that are not wanted now."""
        return int(value(conn, f"SELECT count(*) FROM {TABLE} AS o WHERE {self._listed('o', unwanted)}"))

    def sweep(self, conn: Connection, listed: str, unwanted: Collection[str]) -> int:
        """Forget what is written down and listed no more; what was made is set aside.

        What is `unwanted` now is not listed, and stays.
        """
        wanted = f"SELECT source_key, name FROM ({listed}) AS listed"
        return execute(
            conn,
            f"WITH wanted AS MATERIALIZED ({wanted}), gone AS MATERIALIZED (SELECT o AS old FROM {TABLE} AS o"
            f" WHERE {self._listed('o', unwanted)} AND NOT EXISTS (SELECT FROM wanted AS w WHERE w.name = o.name"
            " AND w.source_key = o.source_key) FOR UPDATE OF o),"
            f" aside AS (INSERT INTO {FORMER} SELECT (old).* FROM gone WHERE {_made('(old)')})"
            f" DELETE FROM {TABLE} AS o USING gone WHERE o.id = (gone.old).id",
        )

    def award(self, conn: Connection) -> int:
        """Give each target key that nobody has to the first record that wants it; gives how many were given.

        A name that can be no key is given too: looking at it tells so.
        """
        key, became = declared_key("wants"), target_key("wants")
        alone = f"CASE WHEN {key} IS NULL THEN wants.id END"
        untaken = (
            f"NOT EXISTS (SELECT FROM {TABLE} AS has WHERE left(has.to_bucket, 100) = left(wants.to_bucket, 100)"
            f" AND {declared_key('has')} = {key} AND has.outcome IS DISTINCT FROM {CONTESTED})"
            f" AND NOT EXISTS (SELECT FROM {TABLE} AS has WHERE left(has.target_bucket, 100) ="
            f" left(wants.target_bucket, 100) AND {target_key('has')} = {became}"
            f" AND has.outcome IS DISTINCT FROM {CONTESTED})"
        )
        one_each = (
            f"SELECT DISTINCT ON (left(wants.to_bucket, 100), {key}, {alone}) wants.id"
            f" FROM {TABLE} AS wants WHERE {self._is('wants')} AND wants.kind = 'copy' AND wants.outcome = {CONTESTED}"
            f" AND {untaken}"
            f" ORDER BY left(wants.to_bucket, 100), {key}, {alone}, wants.id"
        )
        given = execute(
            conn,
            f"UPDATE {TABLE} SET outcome = NULL, detail = NULL, source_bucket = NULL, target_bucket = NULL,"
            f" extension = NULL WHERE id IN ({one_each})",
        )
        self._bring_back(conn)
        return given

    def _bring_back(self, conn: Connection) -> None:
        """Take back what was set aside, where it is wanted again under the very same names."""
        names = ("change", "backfill", "name", "source_key", *_NAMES)
        kept = (*_FOUND, *_MADE, "outcome", "run", "at")
        execute(
            conn,
            f"WITH back AS (DELETE FROM {FORMER} AS f USING {TABLE} AS o WHERE {self._is('o')}"
            f" AND o.outcome IS NULL AND o.since IS NULL AND NOT {self._moved_away('f')}"
            f" AND ({', '.join(f'o.{name}' for name in names)}) = ({', '.join(f'f.{name}' for name in names)})"
            f" AND NOT EXISTS (SELECT FROM {TABLE} AS has"
            f" WHERE left(has.target_bucket, 100) = left(f.target_bucket, 100)"
            f" AND {target_key('has')} = {target_key('f')} AND has.outcome IS DISTINCT FROM {CONTESTED})"
            f" RETURNING o.id AS place, {', '.join(f'f.{name}' for name in kept)})"
            f" UPDATE {TABLE} AS o SET {', '.join(f'{name} = back.{name}' for name in kept)}"
            " FROM back WHERE o.id = back.place",
        )

    def _wanted(self, listed: str) -> str:
        return (
            "SELECT source_key, name, source_bucket AS from_bucket, source_key_ AS from_key,"
            f" target_bucket AS to_bucket, target_key AS to_key, or_keys FROM ({listed}) AS listed"
        )

    def _is(self, alias: str) -> str:
        return f"{alias}.change = {literal(self.change)} AND {alias}.backfill = {literal(self.backfill)}"

    def _listed(self, alias: str, unwanted: Collection[str]) -> str:
        but = f" AND {alias}.name NOT IN ({', '.join(map(literal, sorted(unwanted)))})" if unwanted else ""
        return f"{self._is(alias)} AND {alias}.kind = 'copy'{but}"

    def _moved_away(self, alias: str) -> str:
        """Write the condition that the bucket which is meant where none is named was another one."""
        meant = literal(self.bucket)
        return (
            f"(({alias}.to_bucket = '' AND coalesce({alias}.target_bucket <> {meant}, false))"
            f" OR ({alias}.from_bucket = '' AND coalesce({alias}.source_bucket <> {meant}, false)))"
        )


def _same(record: str, wanted: str) -> str:
    """Write the condition that a record is of what is wanted; what nobody tried is looked for under its first key."""
    return (
        f"(({record}.from_bucket, {record}.to_bucket, {record}.to_key)"
        f" = ({wanted}.from_bucket, {wanted}.to_bucket, {wanted}.to_key)"
        f" AND ({record}.from_key = {wanted}.from_key OR coalesce({record}.from_key = ANY ({wanted}.or_keys), false)"
        f" AND ({record}.outcome IS NOT NULL OR {record}.since IS NOT NULL)))"
    )


def _made(alias: str) -> str:
    return MADE.replace("outcome", f"{alias}.outcome").replace("since", f"{alias}.since")
