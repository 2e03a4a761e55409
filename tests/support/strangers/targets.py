"""Targets as strangers have them: with triggers, partitions, numbers of their own, and keys of every sort."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from migrator.model.names import quote

REFUSED = {"rule": "M143", "heirs": "M144", "target view": "M144", "loose identity": "M119"}
FEATURES = (
    "before", "after", "stored", "virtual", "serial", "always", "partial", "expression", "deferrable", "self", "exclusion",
    "nulls", "dropped", "child", "partitions", "check", "whole", "loose sequence",
)  # fmt: skip


def insert(schema: str, table: str, row: Mapping[str, str]) -> str:
    """Write a row of the application; its values are SQL."""
    return (
        f"INSERT INTO {quote(schema)}.{quote(table)} ({', '.join(map(quote, row))}) VALUES ({', '.join(row.values())})"
    )


def ddl(  # noqa: PLR0913 a table has many sides
    draw: Callable[[st.SearchStrategy[Any]], Any],
    schema: str,
    name: str,
    columns: Sequence[str],
    identity: Sequence[tuple[str, str]],
    features: frozenset[str],
    *,
    wrong: str | None,
) -> list[str]:
    """Draw the DDL of a target with some of the features."""
    chosen = draw(st.lists(st.sampled_from(FEATURES), max_size=3, unique=True))
    table, key = f"{quote(schema)}.{quote(name)}", ", ".join(one for one, _ in identity)
    first = identity[0][0]
    body, after = list(columns), []
    aside = f"{quote(schema)}.{quote('~ aside')}"
    if wrong != "loose identity":
        body.append(f"PRIMARY KEY ({key})")
    partitioned = "partitions" in chosen and wrong is None
    for one in chosen:
        match one:
            case "before" | "after":
                body_of = "BEGIN RETURN NEW; END"
                after += [
                    f"CREATE FUNCTION {quote(schema)}.{quote(f'~ {one}')}() RETURNS trigger LANGUAGE plpgsql AS '{body_of}'",
                    f"CREATE TRIGGER {quote(f'~ {one}')} {one} INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW"
                    f" WHEN (pg_trigger_depth() > 100) EXECUTE FUNCTION {quote(schema)}.{quote(f'~ {one}')}()",
                ]
            case "stored":
                body.append('"~ stored" integer GENERATED ALWAYS AS (1 + 1) STORED')
            case "virtual" if "virtual" in features:
                body.append('"~ virtual" integer GENERATED ALWAYS AS (1 + 1) VIRTUAL')
            case "serial":
                body.append('"~ serial" bigserial')
            case "loose sequence":
                after.insert(0, "")
                body.append(
                    f'"~ number" bigint DEFAULT nextval(\'{quote(schema)}."~ numbers"\'::regclass)'.replace(
                        "'", "''", 0
                    )
                )
            case "always" if not partitioned:
                body.append('"~ always" bigint GENERATED ALWAYS AS IDENTITY')
            case "partial":
                after.append(
                    f"CREATE UNIQUE INDEX ON {table} ((1)) WHERE {first} IS NULL" if not partitioned else "SELECT 1"
                )
            case "expression":
                after.append(f"CREATE INDEX ON {table} (({first} IS NULL))")
            case "deferrable":
                body.append(f"UNIQUE ({key}) DEFERRABLE INITIALLY DEFERRED")
            case "self" if wrong != "loose identity" and not partitioned:
                body.append(f"FOREIGN KEY ({key}) REFERENCES {table} ({key}) DEFERRABLE INITIALLY DEFERRED")
            case "exclusion" if not partitioned:
                body.append(f"EXCLUDE USING btree ({', '.join(f'{one} WITH =' for one, _ in identity)})")
            case "nulls" if "nulls" in features:
                body.append(f"UNIQUE NULLS NOT DISTINCT ({key})")
            case "dropped":
                after += [f'ALTER TABLE {table} ADD COLUMN "~ gone" text', f'ALTER TABLE {table} DROP COLUMN "~ gone"']
            case "child" if not partitioned:
                after += [f"CREATE TABLE {aside} ()", f"ALTER TABLE {table} INHERIT {aside}"]
            case "check":
                body.append(f"CHECK ({first} IS NOT NULL)")
            case "whole" if not partitioned:
                after.append(f"ALTER TABLE {table} ADD CHECK ({quote(name)}.* IS NOT NULL OR 1 = 1)")
            case _:
                pass
    before = [f'CREATE SEQUENCE {quote(schema)}."~ numbers"'] if "loose sequence" in chosen else []
    made = f"CREATE TABLE {table} ({', '.join(body)})"
    if partitioned:
        # Literals of any type have a place in a partition that takes all the rest.
        made += f" PARTITION BY RANGE ({first})"
        after.insert(0, f"CREATE TABLE {quote(schema)}.{quote('~ rest')} PARTITION OF {table} DEFAULT")
    match wrong:
        case "rule":
            after.append(f"CREATE RULE {quote('it is')} AS ON INSERT TO {table} DO ALSO SELECT 1")
        case "heirs":
            after.append(f"CREATE TABLE {quote(schema)}.{quote('~ heir')} () INHERITS ({table})")
        case "target view":
            made = made.replace(f"CREATE TABLE {table}", f"CREATE TABLE {quote(schema)}.{quote('~ real')}", 1)
            listed = f"SELECT * FROM {quote(schema)}.{quote('~ real')}"
            return [
                *before,
                made.replace(f"REFERENCES {table}", f"REFERENCES {quote(schema)}.{quote('~ real')}"),
                f"CREATE VIEW {table} AS {listed}",
            ]
        case _:
            pass
    return [*before, made, *(one for one in after if one)]
