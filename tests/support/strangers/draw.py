"""The strategy: a stranger's source, target and definition, and what plain SQL says must become of every row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from hypothesis import strategies as st

from migrator.model.names import literal, quote
from tests.support.strangers import names, targets
from tests.support.strangers.kinds import Kind, keyed, known, turns

Draw = Callable[[st.SearchStrategy[Any]], Any]
TEXTUAL = ("text", "character varying(12)", "citext")
SOURCES = ("foreign", "parent", "matview", "two levels", "range", "view", "table", "unlogged", "secured")
REFUSED = {"doubled view": "M142", "keyless": "M118", "null view": "M142"}


@dataclass(frozen=True)
class Expected:
    """What must become of the source's rows, in SQL over a source row called s and a target row called t."""

    columns: tuple[tuple[str, str], ...]  # of the target, quoted; the value
    identity: tuple[tuple[str, str], ...]
    skipped: str
    quarantined: str
    merged: str
    derived: tuple[str, ...] = ()  # the key columns of a derived id, which stands in the first column of the identity
    own: int = 0  # rows of the application
    unique: str = ""  # the value of a column that only one row can have: the first by key has it
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stranger:
    """One pair of tables: how they come to be, how the rows are to move, and the id of the error where they are not."""

    about: str
    schemas: tuple[str, ...]
    source: tuple[str, str]
    target: tuple[str, str]
    setup: tuple[str, ...]
    made: tuple[str, ...]
    definition: str
    expected: Expected
    refused: str | None = None


@dataclass
class Table:
    """A table as it is drawn."""

    schema: str
    name: str
    columns: list[tuple[str, Kind]]
    keys: int

    @property
    def sql(self) -> str:
        """The name, quoted."""
        return names.declared(self.schema, self.name)


@dataclass
class Filling:
    """The target columns as they are drawn: DDL, expression, expected value, and when a row cannot have it."""

    ddl: list[str] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)
    expected: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unique: str = ""

    def add(self, name: str, kind: str, made: str, expected: str, *, fault: str = "") -> None:
        """Add a column."""
        self.ddl.append(f"{quote(name)} {kind}")
        self.made[name] = made
        self.expected.append((quote(name), expected))
        self.faults += [fault] if fault else []


@st.composite
def strangers(
    draw: Draw, features: frozenset[str], *, refused: bool = False, schemas: Sequence[str] | None = None
) -> Stranger:
    """Draw a stranger's pair of tables; with `refused`, one that must be refused."""
    schemas = schemas or draw(st.lists(names.name(), min_size=2, max_size=2, unique=True))
    table = _source(draw, features, schemas[0])
    rows = _rows(draw, table, empty=not refused)
    wrong = draw(st.sampled_from([*REFUSED, *targets.REFUSED])) if refused else None
    how = wrong if wrong in REFUSED else draw(st.sampled_from(SOURCES))
    if how == "foreign" and "postgres_fdw" not in features:
        how = "view"
    target_name = table.name if draw(st.booleans()) else draw(names.name())
    merging = refused is False and draw(st.integers(0, 4)) == 0
    filling = _filling(draw, table, optional=merging, features=features)
    identity, derived = _identity(draw, table, filling, derived=merging or draw(st.integers(0, 2)) == 0)
    merge = _merge(draw, table, filling, rows) if merging else ("", "false", ())
    skip, guard = _rules(draw, table)
    place = targets.Place(schemas[1], target_name, tuple(name for name, _ in identity))
    made = targets.ddl(draw, place, filling.ddl, features, wrong=wrong)
    parts = {
        "source": repr(table.sql),
        "key": repr(tuple(name for name, _ in table.columns[: table.keys])),
        "target": repr(names.declared(schemas[1], target_name)),
        "identity": repr(tuple(one for one in filling.made if quote(one) in {name for name, _ in identity})),
        **({"merge": repr(merge[0])} if merging else {}),
        **({"skip": f"{{'left behind': sql({skip!r})}}"} if skip else {}),
        **({"quarantine": f"{{'looked at': sql({guard!r})}}"} if guard else {}),
        "columns": "{" + ", ".join(f"{name!r}: {text}" for name, text in filling.made.items()) + "}",
    }
    inserted = [targets.insert(schemas[1], target_name, one) for one in merge[2]]
    return Stranger(
        about=f"{how}, {wrong or 'taken'}",
        schemas=tuple(schemas),
        source=(table.schema, table.name),
        target=(schemas[1], target_name),
        setup=(*(f"CREATE SCHEMA {quote(one)}" for one in schemas), *_build(table, rows, how), *made, *inserted),
        made=(),
        definition=f"backfill = Backfill({', '.join(f'{name}={text}' for name, text in parts.items())})\n",
        expected=Expected(
            columns=tuple(filling.expected),
            identity=tuple(identity),
            skipped=_over_s(skip, table) or "false",
            quarantined=" OR ".join(
                f"({one})" for one in [*([_over_s(guard, table)] if guard else []), *filling.faults]
            )
            or "false",
            merged=merge[1],
            derived=derived,
            own=len(merge[2]),
            unique=filling.unique,
            key=tuple(quote(name) for name, _ in table.columns[: table.keys]),
        ),
        refused=None if wrong is None else {**REFUSED, **targets.REFUSED}[wrong],
    )


@st.composite
def several(draw: Draw, features: frozenset[str], most: int, least: int = 1) -> list[Stranger]:
    """Draw several strangers for one database, in schemas of their own."""
    number = draw(st.integers(least, most))
    called = draw(st.lists(names.name(), min_size=2 * number, max_size=2 * number, unique=True))
    return [draw(strangers(features, schemas=called[2 * n : 2 * n + 2])) for n in range(number)]


def _source(draw: Draw, features: frozenset[str], schema: str) -> Table:
    keys = draw(st.lists(st.sampled_from(keyed(features)), min_size=1, max_size=3))
    others = draw(st.lists(st.sampled_from(known(features)), min_size=1, max_size=5))
    name = draw(names.name())
    first = [name] if draw(st.integers(0, 3)) == 0 else []  # a column that is called like the table
    called = draw(
        st.lists(names.name(), min_size=len(keys) + len(others), max_size=len(keys) + len(others), unique=True)
    )
    called = list(dict.fromkeys([*first, *called]))[: len(keys) + len(others)]
    if draw(st.booleans()):
        called.reverse()
    return Table(schema, name, list(zip(called, [*keys, *others], strict=True)), len(keys))


def _rows(draw: Draw, table: Table, *, empty: bool) -> list[list[str | None]]:
    """Draw rows whose keys differ."""
    keys = [kind.keys[: 5 if table.keys == 1 else 3] for _, kind in table.columns[: table.keys]]
    every = list(product(*keys))
    step = draw(st.sampled_from([1, 2, 3]))
    chosen = every[::step][: draw(st.sampled_from([5, 8, 3, 0, 7, 1]))]
    rows: list[list[str | None]] = []
    for key in chosen:
        values: list[str | None] = list(key)
        for _, kind in table.columns[table.keys :]:
            nullable = [] if kind.sql.endswith(".needed") else [None]
            values.append(draw(st.sampled_from([*kind.values, *nullable])))
        rows.append(values)
    return rows if rows or empty else _rows(draw, table, empty=empty)


def _build(table: Table, rows: Sequence[Sequence[str | None]], how: str) -> list[str]:
    """Write the DDL and the rows of a source of some kind."""
    key = ", ".join(quote(name) for name, _ in table.columns[: table.keys])
    body = ", ".join(f"{quote(name)} {kind.declared}" for name, kind in table.columns)
    keyed_body = f"{body}, PRIMARY KEY ({key})"
    base = table.sql if how not in {"view", "matview", "foreign", "doubled view", "null view"} else _base(table)
    first, child = quote(table.columns[0][0]), f"{quote(table.schema)}.{quote('~ child')}"
    made = {
        "unlogged": [f"CREATE UNLOGGED TABLE {base} ({keyed_body})"],
        "keyless": [f"CREATE TABLE {base} ({body})"],
        "secured": [
            f"CREATE TABLE {base} ({keyed_body})",
            f"ALTER TABLE {base} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        ],
        "range": [
            f"CREATE TABLE {base} ({keyed_body}) PARTITION BY RANGE ({first})",
            f"CREATE TABLE {child} PARTITION OF {base} DEFAULT",
        ],
        "two levels": [
            f"CREATE TABLE {base} ({keyed_body}) PARTITION BY RANGE ({first})",
            f"CREATE TABLE {child} PARTITION OF {base} DEFAULT PARTITION BY LIST ({first})",
            f"CREATE TABLE {quote(table.schema)}.{quote('~ grandchild')} PARTITION OF {child} DEFAULT",
        ],
    }.get(how, [f"CREATE TABLE {base} ({keyed_body})"])
    into = [base] * len(rows)
    if how == "parent":
        made += [f"CREATE TABLE {child} () INHERITS ({base})"]
        into = [child if n % 2 else base for n in range(len(rows))]
    made += [f'ALTER TABLE {base} ADD "~ gone" text', f'ALTER TABLE {base} DROP "~ gone"']
    made += [
        f"INSERT INTO {where} VALUES ({', '.join(map(literal, row))})" for where, row in zip(into, rows, strict=True)
    ]
    listed = ", ".join(quote(name) for name, _ in table.columns)
    match how:
        case "view":
            made.append(f"CREATE VIEW {table.sql} AS SELECT {listed} FROM {base}")
        case "doubled view":
            made.append(f"CREATE VIEW {table.sql} AS SELECT {listed} FROM {base} UNION ALL SELECT {listed} FROM {base}")
        case "null view":
            nothing = ", ".join(
                f"NULL::{kind.sql} AS {quote(name)}" if n == 0 else quote(name)
                for n, (name, kind) in enumerate(table.columns)
            )
            made.append(f"CREATE VIEW {table.sql} AS SELECT {nothing} FROM {base}")
        case "matview":
            made.append(f"CREATE MATERIALIZED VIEW {table.sql} AS SELECT {listed} FROM {base}")
        case "foreign":
            schema = table.schema.replace("'", "''")
            options = f"schema_name '{schema}', table_name '~ base'"
            made.append(f"CREATE FOREIGN TABLE {table.sql} ({body}) SERVER loopback OPTIONS ({options})")
        case _:
            pass
    return made


def _base(table: Table) -> str:
    return f"{quote(table.schema)}.{quote('~ base')}"


def _filling(draw: Draw, table: Table, *, optional: bool, features: frozenset[str]) -> Filling:
    filling = Filling()
    called = draw(st.lists(names.name(), min_size=6, max_size=6, unique=True))
    for (name, kind), new in zip(table.columns[table.keys :], called, strict=False):
        ways = ["same", "same", "text", "fragment", "constant", "missing", "rules"]
        ways += ["lookup", "defaulted", "array", "other collation"] if kind.sql in TEXTUAL else []
        ways += [] if optional or kind.sql.endswith(".needed") else ["required"]
        ways += [] if optional or filling.unique or not kind.keys else ["unique"]
        ways = ["text"] if optional and kind.sql.endswith(".needed") else ways
        needed = ("NOT NULL", ".needed")
        turned = [
            one
            for one in turns(kind.sql, features)
            if not (optional and any(word in one.to + one.fault for word in needed))
        ]
        if turned and draw(st.booleans()):
            turn, s = draw(st.sampled_from(turned)), f"s.{quote(name)}"
            fault = turn.fault.replace("{s}", s)
            value = f"CASE WHEN ({fault}) IS NOT TRUE THEN {turn.value.replace('{s}', s)} END"
            free = new if new not in filling.made else f"{new[:9]}2"
            filling.add(free, turn.to, f"column({name!r})", value, fault=fault)
            continue
        _fill(
            filling, draw(st.sampled_from(ways)), name, kind, new if new not in filling.made else f"{new[:9]}2", table
        )
    return filling


def _fill(filling: Filling, way: str, name: str, kind: Kind, new: str, table: Table) -> None:
    """Add a target column that is filled in one of the ways."""
    s, col, plain = f"s.{quote(name)}", f"column({name!r})", f'(s.{quote(name)})::text COLLATE "C"'
    match way:
        case "text":
            filling.add(new, "text", col, f"{s}::text")
        case "other collation":
            filling.add(new, 'text COLLATE "C"', col, f"{s}::text")
        case "fragment":
            filling.add(new, kind.declared, f"sql({f'{quote(table.name)}.{quote(name)}'!r})", s)
        case "constant":
            filling.add(new, "text", "constant('100% of \"it\"\\\\')", "'100% of \"it\"\\'")
        case "missing":
            filling.add(new, "xid8", "missing('nobody knows')", "NULL")
        case "rules":
            rule = f"rule('nothing', when=sql({f'{quote(name)} IS NULL'!r}), value='none')"
            whole = f"rules('is', {rule}, otherwise=constant('some'))"
            filling.add(new, "text", whole, f"CASE WHEN {s} IS NULL THEN 'none' ELSE 'some' END")
        case "lookup":
            words = {"": "empty", "it's": "it''s", "a": "A", "NULL": "null"}
            arms = " ".join(f"WHEN {literal(old)} THEN {literal(word)}" for old, word in words.items())
            fault = f"{plain} NOT IN ({', '.join(map(literal, words))})"
            filling.add(new, "text", f"lookup({name!r}, {words!r})", f"CASE {plain} {arms} END", fault=fault)
        case "defaulted":
            filling.add(new, "text", f"defaulted({name!r}, 'x', reason='it was optional')", f"coalesce({s}::text, 'x')")
        case "array":
            filling.add(new, "text[]", f"array({name!r})", f"CASE WHEN {plain} <> '' THEN ARRAY[{s}::text] END")
        case "unique":
            filling.add(new, f"{kind.declared} UNIQUE", col, s)
            filling.unique = s
        case "required":
            filling.add(new, f"{kind.declared} NOT NULL", col, s, fault=f"{s} IS NULL")
        case _:
            filling.add(new, kind.declared, col, s)


def _identity(
    draw: Draw, table: Table, filling: Filling, *, derived: bool
) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Draw the identity: the source's key, or an id derived from it."""
    keys = table.columns[: table.keys]
    free = [
        one for one in draw(st.lists(names.name(), min_size=12, max_size=12, unique=True)) if one not in filling.made
    ]
    if derived:
        filling.add(free[0], "uuid", "derived_uuid()", "NULL")
        filling.expected.pop()
        return [(quote(free[0]), "")], tuple(quote(name) for name, _ in keys)
    found = []
    for (name, kind), new in zip(keys, free, strict=False):
        wide = (
            {"smallint": "bigint", "integer": "numeric"}.get(kind.sql, kind.declared)
            if table.keys == 1
            else kind.declared
        )
        filling.add(new, wide, f"column({name!r})", f"s.{quote(name)}::{wide.partition(' COLLATE')[0]}")
        found.append((quote(new), f"s.{quote(name)}"))
    return found, ()


def _merge(
    draw: Draw, table: Table, filling: Filling, rows: Sequence[Sequence[str | None]]
) -> tuple[str, str, tuple[dict[str, str], ...]]:
    """Add a column by which rows of the application are recognised, and such rows."""
    name = next(one for one in ("email", "e-mail", "@") if one not in filling.made)
    fragment = _joined(table)
    filling.add(name, "text UNIQUE", f"sql({fragment!r})", _over_s(fragment, table))
    identity = next(one for one, made in filling.made.items() if made == "derived_uuid()")
    some = draw(st.integers(0, 1))
    own = [
        {identity: f"'b0000000-0000-0000-0000-00000000000{n}'::uuid", name: text}
        for n, text in enumerate(_texts(table, rows)[:some])
    ]
    own.append({identity: "'b0000000-0000-0000-0000-00000000000f'::uuid", name: "'nobody else''s'"})
    held = f"EXISTS (SELECT FROM own WHERE own.by = {_over_s(fragment, table)})"
    return name, held, tuple(own)


def _joined(table: Table) -> str:
    return " || '|' || ".join(
        f'{quote(table.name)}.{quote(name)}::text COLLATE "C"' for name, _ in table.columns[: table.keys]
    )


def _texts(table: Table, rows: Sequence[Sequence[str | None]]) -> list[str]:
    """Write the SQL of the merge values of rows."""
    kinds = [kind for _, kind in table.columns[: table.keys]]
    return [
        " || '|' || ".join(f"({literal(part)}::{kind.sql})::text" for part, kind in zip(row, kinds, strict=False))
        for row in rows
    ]


def _over_s(fragment: str, table: Table) -> str:
    """Write a fragment over the row called s."""
    return fragment.replace(f"{quote(table.name)}.", "s.") if fragment else ""


def _rules(draw: Draw, table: Table) -> tuple[str, str]:
    """Draw a rule that skips and one that quarantines."""
    found = []
    for _ in range(2):
        name, _ = draw(st.sampled_from(table.columns))
        of = f"{quote(table.name)}.{quote(name)}"
        tests = ["", "", "", f"{of} IS NULL", f"length({of}::text) > 9", f"{of}::text LIKE '%e%'"]
        tests = [one for one in tests if "LIKE" not in one or "nobody" not in dict(table.columns)[name].declared]
        found.append(draw(st.sampled_from(tests)))
    return found[0], found[1]
