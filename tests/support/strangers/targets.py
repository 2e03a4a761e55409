"""Targets as strangers have them: with triggers, partitions, numbers of their own, and keys of every sort."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from migrator.model.names import literal, quote

REFUSED = {"rule": "M143", "heirs": "M144", "target view": "M144", "loose identity": "M119"}


@dataclass(frozen=True)
class Place:
    """Where a target is made: its schema, its name, and its identity's columns, quoted."""

    schema: str
    name: str
    identity: tuple[str, ...]

    @property
    def sql(self) -> str:
        """The target's name, quoted."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def key(self) -> str:
        """The identity as a list."""
        return ", ".join(self.identity)

    def beside(self, name: str) -> str:
        """Name something else in the same schema."""
        return f"{quote(self.schema)}.{quote(f'~ {name}')}"


@dataclass(frozen=True)
class Feature:
    """Something a target has: statements before it, a part of its body, statements after it."""

    body: Callable[[Place], str] | None = None
    after: Callable[[Place], Sequence[str]] = lambda _: ()
    before: Callable[[Place], Sequence[str]] = lambda _: ()
    whole: bool = False  # not where the target has partitions
    needs: str = ""


def _trigger(place: Place, when: str) -> list[str]:
    called = place.beside(when)
    made = f"CREATE FUNCTION {called}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    events = f"{when} INSERT OR UPDATE OR DELETE ON {place.sql} FOR EACH ROW WHEN (pg_trigger_depth() > 100)"
    return [made, f"CREATE TRIGGER {quote(f'~ {when}')} {events} EXECUTE FUNCTION {called}()"]


FEATURES = {
    "before": Feature(after=lambda at: _trigger(at, "before")),
    "after": Feature(after=lambda at: _trigger(at, "after")),
    "stored": Feature(lambda _: '"~ stored" integer GENERATED ALWAYS AS (1 + 1) STORED'),
    "virtual": Feature(lambda _: '"~ virtual" integer GENERATED ALWAYS AS (1 + 1) VIRTUAL', needs="virtual"),
    "serial": Feature(lambda _: '"~ serial" bigserial'),
    "loose sequence": Feature(
        lambda at: f'"~ number" bigint DEFAULT nextval({literal(at.beside("numbers"))}::regclass)',
        before=lambda at: [f"CREATE SEQUENCE {at.beside('numbers')}"],
    ),
    "always": Feature(lambda _: '"~ always" bigint GENERATED ALWAYS AS IDENTITY', whole=True),
    "partial": Feature(
        after=lambda at: [f"CREATE UNIQUE INDEX ON {at.sql} ((1)) WHERE {at.identity[0]} IS NULL"], whole=True
    ),
    "expression": Feature(after=lambda at: [f"CREATE INDEX ON {at.sql} (({at.identity[0]} IS NULL))"]),
    "deferrable": Feature(lambda _: '"~ later" integer UNIQUE DEFERRABLE INITIALLY DEFERRED', whole=True),
    "self": Feature(
        lambda at: f"FOREIGN KEY ({at.key}) REFERENCES {at.sql} ({at.key}) DEFERRABLE INITIALLY DEFERRED", whole=True
    ),
    "exclusion": Feature(
        lambda at: f"EXCLUDE USING btree ({', '.join(f'{one} WITH =' for one in at.identity)})", whole=True
    ),
    "nulls": Feature(lambda at: f"UNIQUE NULLS NOT DISTINCT ({at.key})", needs="nulls"),
    "dropped": Feature(
        after=lambda at: [f'ALTER TABLE {at.sql} ADD "~ gone" text', f'ALTER TABLE {at.sql} DROP "~ gone"']
    ),
    "child": Feature(
        after=lambda at: [
            f"CREATE TABLE {at.beside('aside')} ()",
            f"ALTER TABLE {at.sql} INHERIT {at.beside('aside')}",
        ],
        whole=True,
    ),
    "check": Feature(lambda at: f"CHECK ({at.identity[0]} IS NOT NULL)"),
    "row check": Feature(
        after=lambda at: [f"ALTER TABLE {at.sql} ADD CHECK ({quote(at.name)}.* IS NOT NULL OR 1 = 1)"], whole=True
    ),
    "partitions": Feature(after=lambda at: [f"CREATE TABLE {at.beside('rest')} PARTITION OF {at.sql} DEFAULT"]),
}


def insert(schema: str, table: str, row: Mapping[str, str]) -> str:
    """Write a row of the application; its values are SQL."""
    return (
        f"INSERT INTO {quote(schema)}.{quote(table)} ({', '.join(map(quote, row))}) VALUES ({', '.join(row.values())})"
    )


def ddl(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    place: Place,
    columns: Sequence[str],
    features: frozenset[str],
    *,
    wrong: str | None,
) -> list[str]:
    """Draw the DDL of a target with some of the features."""
    chosen = draw(st.lists(st.sampled_from(list(FEATURES)), max_size=4, unique=True))
    loose = any("UNIQUE" in one for one in columns)  # a key that is not part of a partition's
    chosen = [one for one in chosen if not (loose and one == "partitions")]
    partitioned = "partitions" in chosen and wrong is None
    having = [FEATURES[one] for one in chosen if wrong is None and not (FEATURES[one].whole and partitioned)]
    having = [one for one in having if not one.needs or one.needs in features]
    primary = [] if wrong == "loose identity" else [f"PRIMARY KEY ({place.key})"]
    body = [*columns, *primary, *(one.body(place) for one in having if one.body)]
    by = f" PARTITION BY RANGE ({place.identity[0]})" if partitioned else ""
    before = [statement for one in having for statement in one.before(place)]
    after = [statement for one in having for statement in one.after(place)]
    made = place.beside("real") if wrong == "target view" else place.sql
    return [*before, f"CREATE TABLE {made} ({', '.join(body)}){by}", *after, *_spoiled(place, wrong)]


def _spoiled(place: Place, wrong: str | None) -> list[str]:
    """Add what makes a target one that is refused."""
    return {
        "rule": [f"CREATE RULE {quote('it is')} AS ON INSERT TO {place.sql} DO ALSO SELECT 1"],
        "heirs": [f"CREATE TABLE {place.beside('heir')} () INHERITS ({place.sql})"],
        "target view": [f"CREATE VIEW {place.sql} AS SELECT * FROM {place.beside('real')}"],
    }.get(wrong or "", [])
