"""Rows for which a definition's own SQL raises: the net under the Projection, which foresees what the catalogs tell.

A fragment such as `sql("1 / n")` can raise for a row. Such rows are found by walking the source in small intervals, in
smaller ones where one raises, down to the row; and everybody looks at all the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from migrator.database import failures
from migrator.database.connect import Connection
from migrator.database.failures import Failure, SqlError
from migrator.database.session import execute, value
from migrator.engine.blame import Blame, told
from migrator.engine.projection.compiled import DIGEST
from migrator.engine.projection.projection import Projection
from migrator.engine.ranges import Key, Keyset
from migrator.model.errors import UsageError
from migrator.model.names import quote

LIMIT: Final = 1_000
WIDEST: Final = 4_096  # rows of an interval; doubled where nothing raises, an eighth where something does


def is_row_fault(error: SqlError) -> bool:
    """Tell whether an error is about a row, not about the world or the statement."""
    return failures.kind(error) is Failure.ROW


def raising_rows(
    conn: Connection, projection: Projection, lo: Key | None = None, hi: Key | None = None
) -> tuple[Blame, ...]:
    """Find every row within (lo, hi] for which the Projection raises, inside the open transaction.

    Raises UsageError M121 when there are more than a thousand: then the definition is wrong, not the rows.
    """
    execute(conn, _walk(projection, lo, hi))
    found = value(conn, "SELECT pg_catalog.current_setting('migrator.raising')::json")
    blames = tuple(told(tuple(map(str, one["key"])), one) for one in found)
    if len(blames) > LIMIT:
        raise UsageError(
            "M121",
            f"{projection.backfill.name}: its SQL raises for more than {LIMIT:,} rows: {blames[0].reason}.",
            "Write the fragment so that it gives NULL where there is no value, or quarantine such rows by name.",
        )
    return blames


def without(projection: Projection, raising: Sequence[Blame]) -> Projection:
    """Give the Projection over all other rows."""
    if not raising:
        return projection
    keyset = Keyset.of_source(projection.source, projection.keys)
    return projection.without(" AND ".join(f"NOT {keyset.at(one.key)}" for one in raising))


def _walk(projection: Projection, lo: Key | None, hi: Key | None) -> str:
    """Write the block that walks the interval; its answer is in a setting that ends with the transaction.

    The statements in it are planned once, and no savepoint of it writes: it costs others nothing.
    """
    keyset = Keyset.of_source(projection.source, projection.keys)
    here, there = (
        ", ".join(f"{name}[{n}]::{type_name}" for n, (_, type_name) in enumerate(keyset.columns, 1))
        for name in ('"~here"', '"~there"')
    )
    key, order = f"({', '.join(keyset.names)})", ", ".join(keyset.names)
    down = ", ".join(f"{one} DESC" for one in keyset.names)
    rows = f"FROM {keyset.relation} AS {keyset.alias} WHERE {keyset.within(lo, hi)} AND {projection.excluding}"
    select = projection.select(f"({key} >= ({here}) AND {key} <= ({there}))", merging=False)
    return f"""DO $migrator_walk$
#variable_conflict use_column
DECLARE
  "~here" text[]; "~there" text[]; "~rows" int := 64; "~found" jsonb := '[]';
  "~state" text; "~said" text; "~detail" text; "~constraint" text; "~column" text;
BEGIN
  PERFORM pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true);
  SELECT {keyset.texts} INTO "~here" {rows} ORDER BY {order} LIMIT 1;
  WHILE "~here" IS NOT NULL AND jsonb_array_length("~found") <= {LIMIT} LOOP
    SELECT {keyset.texts} INTO "~there" {rows} AND {key} >= ({here}) ORDER BY {order} OFFSET "~rows" - 1 LIMIT 1;
    IF "~there" IS NULL THEN
      SELECT {keyset.texts} INTO "~there" {rows} ORDER BY {down} LIMIT 1;
    END IF;
    BEGIN
      PERFORM bit_xor({quote(DIGEST)}) FROM ({select}) AS tried;
      "~rows" := LEAST("~rows" * 2, {WIDEST});
    EXCEPTION WHEN OTHERS OR assert_failure THEN
      GET STACKED DIAGNOSTICS "~state" = RETURNED_SQLSTATE, "~said" = MESSAGE_TEXT, "~detail" = PG_EXCEPTION_DETAIL,
        "~constraint" = CONSTRAINT_NAME, "~column" = COLUMN_NAME;
      IF NOT ({failures.about_a_row('"~state"')}) THEN RAISE; END IF;
      "~rows" := GREATEST(1, "~rows" / 8);
      CONTINUE WHEN "~here" <> "~there";
      "~found" := "~found" || jsonb_build_object('key', "~here", 'state', "~state", 'said', "~said",
        'detail', "~detail", 'constraint', "~constraint", 'column', "~column");
    END;
    SELECT {keyset.texts} INTO "~here" {rows} AND {key} > ({there}) ORDER BY {order} LIMIT 1;
  END LOOP;
  PERFORM pg_catalog.set_config('migrator.raising', "~found"::text, true);
END $migrator_walk$"""
