"""Scouting a batch that failed: which of its rows are at fault, found in a transaction that is always rolled back.

Rows are inserted one after the other, many of them under one savepoint. Where one raises, the savepoint takes back
what came since the last, those before it are inserted again, and the walk goes on behind it. What stays are names of
rows, never rows: the batch is then done without them by the one statement that does every batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import SqlError
from migrator.database.session import execute, value
from migrator.engine.blame import Blame, told
from migrator.engine.isolate import is_row_fault, raising_rows, without
from migrator.engine.projection.compiled import CODE
from migrator.engine.projection.pieces import MOVED
from migrator.engine.ranges import Key
from migrator.engine.statements import Writing
from migrator.model.errors import UsageError
from migrator.model.names import quote

# A transaction with more than 64 living savepoints slows down every snapshot of the server (finding 18).
SAVEPOINTS: Final = 50
ROWS_OF_ONE: Final = 400  # under one savepoint
MOST: Final = 500  # rows at fault in one go


@dataclass(frozen=True, slots=True, kw_only=True)
class Scouted:
    """The rows at fault in a batch, or in its beginning: as far as a key, None where that is its end."""

    blames: tuple[Blame, ...]
    upto: Key | None
    raised: bool = False  # the definition's own SQL, for some of them


def scout(
    conn: Connection, writing: Writing, lo: Key | None, hi: Key | None, *, raising: bool = False
) -> Scouted | None:
    """Find the rows within (lo, hi] that cannot be moved, in the open transaction, which must then be rolled back.

    Stops short of a row at which the world is in the way; None where nothing was learnt. `raising` expects that the
    definition raises for some. Raises SqlError when even without these there is no looking.
    """
    try:
        with conn.transaction():
            if not raising:
                return _walked(conn, writing, lo, hi)
    except SqlError as error:
        if not is_row_fault(error):
            raise
    try:
        raised = raising_rows(conn, writing.projection, lo, hi)
    except UsageError:
        return None  # too many: then halves will do
    found = _walked(conn, replace(writing, projection=without(writing.projection, raised)), lo, hi)
    return None if found is None else replace(found, blames=raised + found.blames, raised=bool(raised))


def _walked(conn: Connection, writing: Writing, lo: Key | None, hi: Key | None) -> Scouted | None:
    execute(conn, _walk(writing, lo, hi))
    found = value(conn, "SELECT pg_catalog.current_setting('migrator.scouted')::json")
    if found["upto"] is None and not found["ends"]:
        return None
    # Of a row that raised twice the later word counts: then those before it were right.
    blames = {tuple(map(str, one["key"])): one for one in found["bad"]}
    return Scouted(
        blames=tuple(_as_foretold(writing, said, told(key, said, writing.recorded.id)) for key, said in blames.items()),
        upto=hi if found["ends"] else tuple(map(str, found["upto"])),
    )


def _as_foretold(writing: Writing, said: Mapping[str, str], blamed: Blame) -> Blame:
    """Say of a row that met its twin in this batch what is said of one whose twin is there already."""
    uniques = {one.name: ", ".join(one.columns) for one in writing.projection.target.uniques}
    reason = f"{uniques.get(said['constraint'])}: another row holds this value"
    if said["state"] != "23505" or all(one.reason != reason for one in writing.projection.outcomes):
        return blamed
    return Blame(key=blamed.key, reason=reason, sqlstate=None, message=None)


def _walk(writing: Writing, lo: Key | None, hi: Key | None) -> str:
    """Write the block that walks the rows; its answer is in a setting that ends with the transaction."""
    projection = writing.projection
    keys = projection.key_columns("p")
    texts = ", ".join(f"{one}::text" for one in keys)
    return f"""DO $migrator_scout$
#variable_conflict use_column
DECLARE
  "~walk" SCROLL CURSOR FOR SELECT p.*, ARRAY[{texts}] AS "~migrator key"
    FROM ({writing.careful_rows(lo, hi)}) AS p WHERE p.{quote(CODE)} = {MOVED} ORDER BY {", ".join(keys)};
  "~r" record; "~reading" boolean; "~ends" boolean := false; "~halts" boolean := false;
  "~good" bigint := 0; "~at" bigint; "~upto" bigint; "~savepoints" int := 0; "~bad" jsonb := '[]';
  "~state" text; "~said" text; "~detail" text; "~constraint" text; "~column" text;
BEGIN
  OPEN "~walk";
  LOOP
    BEGIN
      MOVE ABSOLUTE "~good" IN "~walk";
      "~at" := "~good";
      LOOP
        EXIT WHEN "~at" = "~upto" OR "~at" = "~good" + {ROWS_OF_ONE};
        "~reading" := true;
        FETCH "~walk" INTO "~r";
        "~ends" := NOT FOUND;
        "~reading" := false;
        EXIT WHEN "~ends";
        "~at" := "~at" + 1;
        {writing.tried('"~r"')};
      END LOOP;
      "~savepoints" := "~savepoints" + 1;
      "~good" := "~at" + CASE WHEN "~at" = "~upto" THEN 1 ELSE 0 END;
      "~upto" := CASE WHEN "~at" = "~upto" THEN NULL ELSE "~upto" END;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
      IF "~reading" THEN RAISE; END IF;
      GET STACKED DIAGNOSTICS "~state" = RETURNED_SQLSTATE, "~said" = MESSAGE_TEXT, "~detail" = PG_EXCEPTION_DETAIL,
        "~constraint" = CONSTRAINT_NAME, "~column" = COLUMN_NAME;
      "~halts" := NOT ({failures.about_a_row('"~state"')});
      IF NOT "~halts" THEN
        "~bad" := "~bad" || jsonb_build_object('key', "~r"."~migrator key", 'state', "~state", 'said', "~said",
          'detail', "~detail", 'constraint', "~constraint", 'column', "~column");
        IF "~at" = "~good" + 1 THEN "~good" := "~at"; "~upto" := NULL; ELSE "~upto" := "~at" - 1; END IF;
      END IF;
    END;
    EXIT WHEN "~ends" OR "~halts" OR "~upto" IS NULL
      AND ("~savepoints" >= {SAVEPOINTS} OR jsonb_array_length("~bad") >= {MOST});
  END LOOP;
  FETCH ABSOLUTE "~good" FROM "~walk" INTO "~r";
  PERFORM pg_catalog.set_config('migrator.scouted', jsonb_build_object('bad', "~bad", 'ends', "~ends",
    'upto', CASE WHEN "~good" > 0 THEN "~r"."~migrator key" END)::text, true);
END $migrator_scout$"""
