"""Types of columns, with values that lie at their edges; some of them can be keys."""

from __future__ import annotations

from dataclasses import dataclass

# In every database of strangers; what a server lacks is left out.
SETUP = (
    'CREATE SCHEMA "Odd Types"',
    """CREATE TYPE "Odd Types"."Mo'od" AS ENUM ('sad', 'it''s ok', 'a,b', 'NULL', '')""",
    'CREATE DOMAIN "Odd Types".positive AS integer CHECK (VALUE > 0)',
    'CREATE DOMAIN "Odd Types".needed AS text NOT NULL',
    """CREATE DOMAIN "Odd Types".code AS text COLLATE "C" CHECK (VALUE ~ '^[A-Za-z ]*$')""",
    'CREATE DOMAIN "Odd Types".day AS date',
    'CREATE DOMAIN "Odd Types".cents AS numeric(10, 2)',
    'CREATE DOMAIN "Odd Types".deep AS "Odd Types".positive',
    'CREATE TYPE "Odd Types"."Pair" AS (a integer, "b c" text, d date)',
    'CREATE TYPE "Odd Types".spans AS RANGE (subtype = text, collation = "C")',
)
OPTIONAL = {
    "citext": ("CREATE EXTENSION citext",),
    "hstore": ("CREATE EXTENSION hstore",),
    "icu": (
        "CREATE COLLATION \"Odd Types\".nobody (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    ),
    "xml": ("SELECT '<a/>'::xml",),
    "btree_gist": ("CREATE EXTENSION btree_gist",),
    "postgres_fdw": ("CREATE EXTENSION postgres_fdw",),
}


@dataclass(frozen=True)
class Kind:
    """A type: how a column declares it, and values as texts; those of `keys` differ from one another for the type."""

    sql: str
    values: tuple[str, ...]
    keys: tuple[str, ...] = ()
    needs: str = ""
    collation: str = ""

    @property
    def declared(self) -> str:
        """What stands behind a column's name."""
        return f"{self.sql} COLLATE {self.collation}" if self.collation else self.sql


TEXTS = (
    "",
    " ",
    "it's",
    "a,b",
    "{x}",
    "back\\slash",
    "NULL",
    "null",
    '"q"',
    "ünï",
    "%s",
    ":x",
    "$1",
    "two\nlines",
    "(1,2)",
)
WORDS = ("", "a", "A ", "NULL", "it's", "b,c", "{}", "\\")
_KEYED = (
    Kind("smallint", ("-32768", "0", "7"), ("-32768", "0", "7", "32767")),
    Kind("integer", ("-2147483648", "0", "1"), ("-2147483648", "-1", "0", "1", "2147483647")),
    Kind("bigint", ("0", "9007199254740993"), ("-9223372036854775808", "0", "9007199254740993", "9223372036854775807")),
    Kind("numeric", ("1.10", "-0.00", "NaN", "1e-20"),
         ("1.10", "0.00", "NaN", "1e-20", "-12345678901234567890.5", "Infinity")),
    Kind("numeric(8,3)", ("1.1", "-0.001", "NaN"), ("1.1", "0", "99999.999", "NaN")),
    Kind("double precision", ("-0", "1e-300", "NaN", "Infinity", "0.1"), ("-0", "1e-300", "NaN", "-Infinity", "0.1")),
    Kind("real", ("0.1", "-0", "NaN"), ("0.1", "1e-30", "NaN", "Infinity")),
    Kind("text", TEXTS, TEXTS),
    Kind("text", TEXTS, TEXTS, collation='"C"'),
    Kind("text", TEXTS, WORDS, needs="icu", collation='"Odd Types".nobody'),
    Kind("character varying(12)", WORDS, WORDS),
    Kind("character(5)", ("", "a", "ab  c"), ("", "a", "b", "NULL")),
    Kind("name", WORDS, WORDS),
    Kind('"char"', ("a", "", "{"), ("a", "", "{", "'")),
    Kind("uuid", ("00000000-0000-0000-0000-000000000000",),
         tuple(f"a0000000-0000-0000-0000-00000000000{n}" for n in range(5))),
    Kind("date", ("infinity", "0044-03-15 BC", "2024-02-29"), ("-infinity", "infinity", "0044-03-15 BC", "2024-02-29")),
    Kind("timestamp", ("infinity", "2024-02-29 12:00:00.000001"),
         ("infinity", "-infinity", "2024-02-29 12:00:00.000001", "0044-03-15 BC")),
    Kind("timestamptz", ("infinity", "2024-03-31 02:30+01"),
         ("infinity", "-infinity", "2024-03-31 02:30+01", "1999-12-31 23:59:59.999999-12")),
    Kind("time", ("00:00", "24:00"), ("00:00", "24:00", "12:34:56.789")),
    Kind("timetz", ("00:00+00", "23:00-01"), ("00:00+00", "12:00-01", "24:00+14")),
    Kind("interval", ("1 mon", "30 days", "-2 days 03:00", "0"),
         ("1 mon", "29 days", "-2 days 03:00", "0", "1 year 00:00:01")),
    Kind("boolean", ("true", "false"), ("true", "false")),
    Kind("bytea", ("\\x", "\\x00ff27"), ("\\x", "\\x00", "\\x00ff27", "\\x5c")),
    Kind("inet", ("10.0.0.1/24", "::1"), ("10.0.0.1/24", "10.0.0.1", "::1", "fe80::/10")),
    Kind("bit(3)", ("101",), ("101", "000", "111")),
    Kind("bit varying", ("", "1"), ("", "1", "10", "0")),
    Kind('"Odd Types"."Mo\'od"', ("sad", "it's ok", "NULL", ""), ("sad", "it's ok", "a,b", "NULL", "")),
    Kind('"Odd Types".positive', ("1", "7"), ("1", "7", "9")),
    Kind('"Odd Types".deep', ("1", "7"), ("1", "7", "9")),
    Kind('"Odd Types".code', ("a", "A", ""), ("a", "A", "", "a b")),
    Kind('"Odd Types".day', ("infinity", "2024-02-29"), ("infinity", "2024-02-29", "0001-01-01")),
    Kind("citext", WORDS, ("", "a", "it's", "b,c"), needs="citext"),
    Kind("jsonb", ('{"a": 1.0}', "null", "[]"), ('{"a": 1}', "null", "[]", '"x"')),
    Kind("integer[]", ("{}", "{NULL,1}", "{{1,2},{3,4}}", "[0:1]={1,2}"), ("{}", "{1}", "{1,2}", "{{1,2},{3,4}}")),
    Kind("text[]", ("{}", '{"a,b","c\\"d",NULL,""}', '{"NULL"}'), ("{}", '{"a,b"}', '{"c\\"d",""}', '{"NULL"}')),
    Kind("int4range", ("empty", "[1,5)", "(,)"), ("empty", "[1,5)", "(,)", "[1,6)")),
    Kind('"Odd Types".spans', ("empty", '["a,b","c)"]'), ("empty", '["a,b","c)"]', "[A,a]")),
    Kind("macaddr", ("08:00:2b:01:02:03",), ("08:00:2b:01:02:03", "08:00:2b:01:02:04")),
    Kind("oid", ("0", "4294967295"), ("0", "1", "4294967295")),
    Kind("pg_lsn", ("0/0",), ("0/0", "16/B374D848")),
    Kind("money", ("$1.50", "-$0.01"), ("$1.50", "-$0.01", "$0.00")),
)  # fmt: skip
_PLAIN = (
    Kind("cidr", ("10.0.0.0/24", "::/0")),
    Kind("json", ('{"b":1,  "a":1.0}', "null", '{"a":1,"a":2}')),
    Kind("xml", ("<a b='c'/>", "text"), needs="xml"),
    Kind("point", ("(1,2)", "(-0,NaN)")),
    Kind("box", ("(1,2),(0,0)",)),
    Kind("path", ("[(0,0),(1,1)]",)),
    Kind("tsvector", ("'a':1A 'it''s':2", "")),
    Kind("tsquery", ("'a' & !'b'",)),
    Kind("jsonpath", ('$."a"[*] ? (@ > 1)',)),
    Kind("numeric[]", ("{1.10,NaN}", "{}")),
    Kind("timestamptz[]", ("{infinity}", "{NULL}")),
    Kind('"Odd Types"."Mo\'od"[]', ('{sad,"a,b"}', '{"NULL",NULL}')),
    Kind('"Odd Types".needed', ("", "x")),
    Kind('"Odd Types".cents', ("1.10", "-0.01", "NaN")),
    Kind('"Odd Types"."Pair"', ('(1,"a,b",infinity)', "(,,)", '(2,"say ""x""",2024-02-29)')),
    Kind('"Odd Types"."Pair"[]', ('{"(1,\\"a,b\\",)"}', "{}")),
    Kind("int4multirange", ("{}", "{[1,2),[5,9)}")),
    Kind("daterange", ("[2024-01-01,infinity)", "empty")),
    Kind("hstore", ('"a b"=>"c", "d"=>NULL', ""), needs="hstore"),
    Kind("citext[]", ("{a,A}",), needs="citext"),
    Kind("interval(0)", ("1 mon 00:00:01",)),
    Kind("timestamp(3)", ("2024-01-01 00:00:00.123",)),
    Kind("bit varying(4)", ("", "1010")),
    Kind("regclass", ("pg_catalog.pg_class",)),
)  # fmt: skip


@dataclass(frozen=True)
class Turn:
    """A value of one type as another one: what it becomes, and when it cannot; {s} is the value."""

    of: str
    to: str
    value: str
    fault: str = "false"
    needs: str = ""


_ENDLESS = "{s}::text IN ('NaN', 'Infinity', '-Infinity')"
_LABELS = """('sad', 'it''s ok', 'a,b', 'NULL', '')"""
TURNS = (
    Turn("integer", "smallint", "{s}::smallint", "{s} NOT BETWEEN -32768 AND 32767"),
    Turn("integer", '"Odd Types".positive', "{s}", "{s} <= 0"),
    Turn("integer", '"Odd Types".deep NOT NULL', "{s}", "{s} <= 0 OR {s} IS NULL"),
    Turn("smallint", "text", "{s}::text"),
    Turn("bigint", "integer", "{s}::integer", "{s} NOT BETWEEN -2147483648 AND 2147483647"),
    Turn(
        "numeric", "integer", "{s}::integer", f"CASE WHEN {_ENDLESS} THEN true ELSE abs(round({{s}})) > 2147483647 END"
    ),
    Turn(
        "numeric",
        "numeric(6,2)",
        "{s}::numeric(6,2)",
        "{s}::text LIKE '%Infinity' OR abs({s}) >= 9999.995 AND {s} <> 'NaN'",
    ),
    Turn("numeric(8,3)", '"Odd Types".cents', "round({s}, 2)"),
    Turn("numeric(8,3)", "money", "{s}::money", "{s} = 'NaN'"),
    Turn("double precision", "numeric", "{s}::numeric"),
    Turn("real", "double precision", "{s}::double precision"),
    Turn("text", "date", "NULL::date", "{s} IS NOT NULL"),
    Turn("text", '"Odd Types".day', "NULL::date", "{s} IS NOT NULL"),
    Turn("text", '"Odd Types".code', "{s}", """({s} COLLATE "C") !~ '^[A-Za-z ]*$'"""),
    Turn("text", '"Odd Types"."Mo\'od"', "{s}", f'({{s}} COLLATE "C") NOT IN {_LABELS}'),
    Turn("text", "character varying(3)", "{s}", "char_length({s}) > 3"),
    Turn("text", 'text COLLATE "Odd Types".nobody', "{s}", needs="icu"),
    Turn("text", "citext", "{s}", needs="citext"),
    Turn("citext", 'text COLLATE "C"', "{s}::text", needs="citext"),
    Turn("character varying(12)", "character(3)", "{s}::character(3)", "char_length({s}) > 3"),
    Turn("character(5)", "character varying(2)", "{s}::text", "char_length({s}) > 2"),
    Turn("name", "text", "{s}::text"),
    Turn(
        "date",
        "timestamptz",
        "({s}::text || CASE WHEN isfinite({s}) THEN ' 00:00+00' ELSE '' END)::timestamptz",
        "{s} = '0044-03-15 BC' AND false",
    ),
    Turn("timestamp", "date", "{s}::date"),
    Turn("timestamptz", "timestamp(0)", "({s} AT TIME ZONE 'UTC')::timestamp(0)"),
    Turn("interval", "interval(0)", "{s}::interval(0)"),
    Turn("bit(3)", "bit(5)", "NULL::bit(5)", "{s} IS NOT NULL"),
    Turn("bit varying", "bit varying(1)", "{s}", "length({s}) > 1"),
    Turn("inet", "cidr", "network({s})"),
    Turn("jsonb", "json", "{s}::json"),
    Turn("json", "jsonb", "{s}::jsonb"),
    Turn("integer[]", "bigint[]", "{s}::bigint[]"),
    Turn("money", "numeric", "{s}::numeric"),
    Turn('"Odd Types"."Mo\'od"', "text", "{s}::text"),
    Turn('"Odd Types"."Pair"', "text", "{s}::text"),
    Turn('"Odd Types".day', "date", "{s}"),
    Turn('"Odd Types".code', '"Odd Types".needed', "{s}", "{s} IS NULL"),
)


def turns(of: str, features: frozenset[str]) -> list[Turn]:
    """List what a type can be turned into."""
    return [one for one in TURNS if one.of == of and (not one.needs or one.needs in features)]


def known(features: frozenset[str]) -> tuple[Kind, ...]:
    """List the types that a server with these features has."""
    return tuple(one for one in (*_KEYED, *_PLAIN) if not one.needs or one.needs in features)


def keyed(features: frozenset[str]) -> tuple[Kind, ...]:
    """List the types that can be keys."""
    return tuple(one for one in known(features) if one.keys)
