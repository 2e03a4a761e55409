"""What is read from the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from migrator.database import catalog, inventory
from migrator.database.connect import Connection, Database
from migrator.database.session import execute, transaction, value
from migrator.model.names import Relation
from migrator.model.tables import Check, ForeignKey, Policy, Table, Trigger, Unique
from tests.support.databases import Databases

NAME = "O'Brien's %s :x \"T\""
RELATION = Relation("public", NAME)
SQL = RELATION.sql

SCHEMA = f"""
    CREATE SCHEMA "Sch %s";
    CREATE TYPE "Sch %s"."St:atus" AS ENUM ('new', '100%', 'it''s', ':x', '$1');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0) NOT NULL;
    CREATE DOMAIN more AS positive;
    CREATE TABLE {SQL} (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        "CamelCase%" text COLLATE "C" NOT NULL,
        gone int,
        state "Sch %s"."St:atus" DEFAULT 'it''s',
        states "Sch %s"."St:atus"[],
        tags text[],
        price numeric(10, 2),
        code varchar(20),
        amount more,
        double int GENERATED ALWAYS AS (length("CamelCase%") * 2) STORED,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        born timestamptz DEFAULT '2020-01-01 00:00:00+00',
        CONSTRAINT "ck %s" CHECK (price > 0 AND code <> '%s')
    );
    ALTER TABLE {SQL} DROP COLUMN gone;
    CREATE UNIQUE INDEX by_lower ON {SQL} (lower(code));
    CREATE UNIQUE INDEX partial ON {SQL} (code) WHERE price > 5;
    CREATE UNIQUE INDEX including ON {SQL} (code, price) INCLUDE (tags);
    ALTER TABLE {SQL} ADD CONSTRAINT later UNIQUE (seq) DEFERRABLE INITIALLY DEFERRED;
    COMMENT ON TABLE {SQL} IS 'it''s 100%';
    COMMENT ON COLUMN {SQL}.code IS 'a :code';
    CREATE TABLE child (
        id int, of uuid CONSTRAINT fk REFERENCES {SQL} ON DELETE CASCADE DEFERRABLE INITIALLY
            DEFERRED
    ) PARTITION BY RANGE (id);
    CREATE TABLE child_1 PARTITION OF child FOR VALUES FROM (0) TO (100);
    CREATE FUNCTION "f %s"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER "t %s" BEFORE INSERT OR UPDATE ON {SQL} FOR EACH ROW EXECUTE FUNCTION "f %s"();
    CREATE TRIGGER off AFTER DELETE ON {SQL} FOR EACH ROW EXECUTE FUNCTION "f %s"();
    ALTER TABLE {SQL} DISABLE TRIGGER off;
    ALTER TABLE {SQL} ENABLE ROW LEVEL SECURITY;
    CREATE POLICY "p %s" ON {SQL} FOR SELECT TO PUBLIC USING (code = ':x%');
    CREATE VIEW v AS SELECT * FROM {SQL};
    CREATE TABLE nowhere_near (x int);
"""


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    """Give an address of a database with the schema above."""
    with databases.fresh() as address:
        with closing(Database(url=address).connect()) as conn:
            execute(conn, SCHEMA)
        yield address


@pytest.fixture
def conn(url: str) -> Iterator[Connection]:
    """Connect with settings that would spoil every output, were they not pinned."""
    with closing(Database(url=url).connect()) as opened:
        opened.execute("SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET quote_all_identifiers = on")
        yield opened


@pytest.fixture
def table(conn: Connection) -> Table:
    """Read the table."""
    found = inventory.table(conn, RELATION)
    assert found is not None
    return found


def test_columns_are_as_declared(table: Table) -> None:
    """Names, types, defaults and comments are complete; a dropped column is not there."""
    assert table.names == (
        "id",
        "CamelCase%",
        "state",
        "states",
        "tags",
        "price",
        "code",
        "amount",
        "double",
        "seq",
        "born",
    )
    by_name = {one.name: one for one in table.columns}
    assert {name: one.type.name for name, one in by_name.items()} == {
        "id": "uuid",
        "CamelCase%": "text",
        "state": '"Sch %s"."St:atus"',
        "states": '"Sch %s"."St:atus"[]',
        "tags": "text[]",
        "price": "numeric(10,2)",
        "code": "character varying(20)",
        "amount": "public.more",
        "double": "integer",
        "seq": "bigint",
        "born": "timestamp with time zone",
    }
    assert by_name["id"].default == "gen_random_uuid()"
    assert by_name["state"].default == "'it''s'::\"Sch %s\".\"St:atus\""
    assert by_name["born"].default == "'2020-01-01 00:00:00+00'::timestamp with time zone"
    assert (by_name["double"].generated, by_name["double"].default) == ("s", None)
    assert by_name["seq"].identity == "a"
    assert [one.name for one in table.columns if one.not_null] == [
        "id",
        "CamelCase%",
        "amount",
        "seq",
    ]
    assert by_name["code"].comment == "a :code"
    assert by_name["CamelCase%"].collation == 'pg_catalog."C"'
    assert all(one.deterministic for one in table.columns)


def test_types_carry_labels_elements_and_modifiers(table: Table) -> None:
    """Enums have their labels in order, arrays their element, domains are domains."""
    by_name = {one.name: one.type for one in table.columns}
    assert by_name["state"].labels == ("new", "100%", "it's", ":x", "$1")
    assert (by_name["state"].kind, by_name["state"].schema, by_name["state"].builtin) == (
        "e",
        "Sch %s",
        False,
    )
    assert (by_name["tags"].element, by_name["states"].element) == ("text", "St:atus")
    assert by_name["code"].modifier == 24
    assert (by_name["amount"].kind, by_name["amount"].base) == ("d", "more")


def test_unique_keys_are_those_that_can_be_used(table: Table) -> None:
    """Expression indexes are left out; included columns are no part of the key."""
    assert table.uniques == (
        Unique(name=f"{NAME}_pkey", columns=("id",), primary=True),
        Unique(name="including", columns=("code", "price")),
        Unique(name="later", columns=("seq",), deferrable=True),
        Unique(name="partial", columns=("code",), partial=True),
    )
    assert table.unique_over(("price", "code")) == table.uniques[1]
    assert table.unique_over(("code",)) is None
    assert len(table.indexes) == 5


def test_checks_are_printed_and_not_null_is_no_check(table: Table) -> None:
    """PostgreSQL 18 keeps NOT NULL as a constraint, too; it is not listed here."""
    (check,) = table.checks
    assert (check.name, set(check.columns)) == ("ck %s", {"price", "code"})
    assert check.expression == "((price > (0)::numeric) AND ((code)::text <> '%s'::text))"
    assert isinstance(check, Check)


def test_foreign_keys_are_seen_from_both_ends(conn: Connection, table: Table) -> None:
    """A partition does not repeat the constraint of its parent, unless asked itself."""
    key = {
        "name": "fk",
        "columns": ("of",),
        "referenced_columns": ("id",),
        "on_delete": "c",
        "deferred": True,
    }
    assert table.referenced_by == (ForeignKey(references=Relation("public", "child"), **key),)
    found = inventory.tables(conn, [Relation("public", "child"), Relation("public", "child_1")])
    assert [one.kind for one in found.values()] == ["p", "r"]
    for one in found.values():
        assert [(key.columns, key.references) for key in one.foreign_keys] == [(("of",), RELATION)]


def test_triggers_and_policies_are_there(table: Table) -> None:
    """A disabled trigger does not fire, so it is none; definitions are qualified."""
    (trigger,) = table.triggers
    assert isinstance(trigger, Trigger)
    assert (trigger.name, trigger.on_insert, trigger.before) == ("t %s", True, True)
    assert 'EXECUTE FUNCTION public."f %s"()' in trigger.definition
    assert table.row_security
    assert table.policies == (
        Policy(
            name="p %s",
            definition="AS PERMISSIVE FOR SELECT TO public USING (((code)::text = ':x%'::text))",
        ),
    )
    assert (table.kind, table.comment, table.bytes > 0) == ("r", "it's 100%", True)


def test_a_row_count_is_estimated_from_what_is_there_now(conn: Connection) -> None:
    """A table that grew is estimated by its pages, a partitioned one by its partitions."""
    with transaction(conn):
        execute(conn, "INSERT INTO child SELECT g % 100 FROM generate_series(1, 20000) g")
    found = inventory.table(conn, Relation("public", "child"))
    assert found is not None
    assert 2_000 < found.estimated_rows < 200_000
    assert found.bytes > 500_000
    execute(conn, "VACUUM ANALYZE child_1")
    counted = inventory.table(conn, Relation("public", "child_1"))
    assert counted is not None
    assert counted.estimated_rows == 20_000
    execute(conn, "TRUNCATE child")


def test_views_are_read_as_well_and_nothing_is_nothing(conn: Connection) -> None:
    """A view has columns and no keys; a name nobody has is None."""
    view = inventory.table(conn, Relation("public", "v"))
    assert view is not None
    assert (view.kind, len(view.columns), view.uniques) == ("v", 11, ())
    assert inventory.table(conn, Relation("public", "none")) is None
    assert inventory.tables(conn, []) == {}


def test_nulls_not_distinct_is_known(conn: Connection) -> None:
    """From 15 on, a unique index can treat NULLs as equal."""
    if inventory.server(conn).major < 15:
        pytest.skip("came with 15")
    execute(conn, "CREATE UNIQUE INDEX nnd ON nowhere_near (x) NULLS NOT DISTINCT")
    found = inventory.table(conn, Relation("public", "nowhere_near"))
    assert found is not None
    assert [one.nulls_not_distinct for one in found.uniques] == [True]
    execute(conn, "DROP INDEX nnd")


def test_virtual_columns_and_unenforced_constraints_are_known(conn: Connection) -> None:
    """From 18 on, a column may be computed when read, and a constraint may not be enforced."""
    if inventory.server(conn).major < 18:
        pytest.skip("came with 18")
    execute(
        conn,
        "CREATE TABLE modern (a int NOT NULL CHECK (a > 0) NOT ENFORCED, b int GENERATED ALWAYS"
        " AS (a + 1) VIRTUAL,"
        " c daterange, UNIQUE (a), CHECK (a < 9))",
    )
    found = inventory.table(conn, Relation("public", "modern"))
    assert found is not None
    assert [one.generated for one in found.columns] == ["", "v", ""]
    assert [one.name for one in found.checks] == ["modern_a_check1"]
    execute(conn, "DROP TABLE modern")


def test_the_search_path_and_the_settings_stay(conn: Connection) -> None:
    """Asking the catalog leaves nothing behind, outside a transaction and inside one."""
    names = ("search_path", "DateStyle", "TimeZone", "quote_all_identifiers")
    before = [value(conn, f"SHOW {name}") for name in names]
    inventory.table(conn, RELATION)
    inventory.objects(conn)
    assert [value(conn, f"SHOW {name}") for name in names] == before
    with transaction(conn, search_path='"Sch %s", public') as within:
        inventory.table(within, RELATION)
        assert value(within, "SHOW search_path") == '"Sch %s", public, pg_temp'
        assert value(within, "SHOW jit") == value(within, "SELECT reset_val FROM pg_settings WHERE name = 'jit'")


def test_a_name_is_found_along_the_search_path(conn: Connection) -> None:
    """The first schema that has it wins; a schema that is written is the only one."""
    with transaction(conn):
        execute(conn, 'CREATE TABLE "Sch %s".child (x int)')
        path = '"Sch %s", "$user", public'
        assert inventory.find(conn, "child", path) == Relation("Sch %s", "child")
        assert inventory.find(conn, "child") == Relation("public", "child")
        assert inventory.find(conn, '"Sch %s".child') == Relation("Sch %s", "child")
        execute(conn, 'DROP TABLE "Sch %s".child')
    assert inventory.find(conn, SQL) == RELATION
    assert inventory.find(conn, "Child") is None
    assert inventory.find(conn, "pg_class") is None


def test_the_nearest_names_are_suggested(conn: Connection) -> None:
    """A typing error is answered with what there is, nothing else is."""
    assert inventory.similar(conn, "Childd")[0] == "child"
    assert inventory.similar(conn, "public.nowhere_neer") == ["nowhere_near"]
    assert inventory.similar(conn, "zzzzzz") == []


def test_the_server_is_described(conn: Connection) -> None:
    """Version, role and identity are known without special rights."""
    facts = inventory.server(conn)
    assert facts.version_num == conn.info.server_version
    assert facts.version.startswith(f"{facts.major}.")
    assert (facts.database, facts.user, facts.encoding) == (conn.info.dbname, conn.info.user, "UTF8")
    assert (facts.is_superuser, facts.bypassrls, facts.in_recovery, facts.read_only) == (
        True,
        True,
        False,
        False,
    )
    assert facts.system_identifier == value(conn, "SELECT system_identifier::text FROM pg_control_system()")


def test_rights_are_those_of_the_role(conn: Connection) -> None:
    """Grants, ownership and the schema's USAGE decide."""
    assert inventory.rights(conn, RELATION) >= {"select", "insert", "update", "delete", "owner"}
    assert inventory.rights(conn, Relation("public", "none")) == set()
    with transaction(conn):
        execute(
            conn,
            f'CREATE ROLE "reader %s"; GRANT SELECT, UPDATE ON {SQL} TO "reader %s"; SET LOCAL ROLE "reader %s"',
        )
        assert inventory.rights(conn, RELATION) == {"select", "update"}
        facts = inventory.server(conn)
        assert (facts.user, facts.is_superuser, facts.bypassrls) == ("reader %s", False, False)
        execute(conn, f'RESET ROLE; REVOKE ALL ON {SQL} FROM "reader %s"; DROP ROLE "reader %s"')


def test_the_books_of_other_tools_are_reported(conn: Connection) -> None:
    """Alembic's own table anywhere but in our schema, Prisma's, Supabase's."""
    with transaction(conn):
        execute(conn, "CREATE SCHEMA migrator; CREATE TABLE migrator.alembic_version (x int)")
        assert inventory.foreign_version_tables(conn) == []
        execute(conn, "CREATE TABLE alembic_version (x int); CREATE TABLE _prisma_migrations (x int)")
        execute(
            conn,
            "CREATE SCHEMA supabase_migrations; CREATE TABLE supabase_migrations.schema_migrations (x int)",
        )
        said = inventory.foreign_version_tables(conn)
        assert [one.partition(" ")[0] for one in said] == [
            "public._prisma_migrations",
            "public.alembic_version",
            "supabase_migrations.schema_migrations",
        ]
        execute(
            conn,
            "DROP SCHEMA migrator, supabase_migrations CASCADE; DROP TABLE alembic_version, _prisma_migrations",
        )


def test_result_types_are_known_without_reading_a_row(conn: Connection) -> None:
    """Names, types, modifiers and labels of a SELECT, whatever its text holds."""
    found = inventory.describe_columns(
        conn,
        f"""SELECT 1 AS "a%", '%s' AS b, code AS b, state, 1 / (double - double) AS never FROM
            {SQL} -- a comment
        ;""",
    )
    assert [(name, one.name) for name, one in found] == [
        ("a%", "integer"),
        ("b", "text"),
        ("b", "character varying(20)"),
        ("state", '"Sch %s"."St:atus"'),
        ("never", "integer"),
    ]
    assert found[3][1].labels[1] == "100%"
    assert [one.base for one in inventory.describe(conn, "SELECT now(), NULL")] == [
        "timestamptz",
        "text",
    ]


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("int", "integer"),
        ("varchar(20)", "character varying(20)"),
        ("numeric(10, 2)[]", "numeric(10,2)[]"),
        ('"Sch %s"."St:atus"', '"Sch %s"."St:atus"'),
        ('"Sch %s"."St:atus"[]', '"Sch %s"."St:atus"[]'),
        ("more", "public.more"),
        ("timestamp(3) with time zone", "timestamp(3) with time zone"),
        ("nothing", None),
        ("nowhere.nothing", None),
        ("not a type", None),
        ("int) FROM x; DROP TABLE y; --", None),
        ("", None),
    ],
)
def test_types_are_found_by_their_text(conn: Connection, name: str, full: str | None) -> None:
    """Modifiers count; what is no type is None, and a transaction outlives the question."""
    with transaction(conn):
        found = inventory.type_named(conn, name)
        assert (found and found.name) == full
        assert value(conn, "SELECT 1") == 1
    again = inventory.type_named(conn, name)
    assert (again and again.name) == full


@pytest.mark.parametrize(
    ("one", "other", "context"),
    [
        ("int", "int", "i"),
        ("int", "bigint", "i"),
        ("bigint", "int", "a"),
        ("int", "boolean", "e"),
        ("int", "uuid", None),
        ("int", "timestamp", None),
        ("text", "int", "io"),
        ("int", "text", "io"),
        ("text", '"Sch %s"."St:atus"', "io"),
        ('"Sch %s"."St:atus"', "text", "io"),
        ("text", "varchar", "i"),
        ("varchar", "text", "i"),
        ("json", "jsonb", "io"),
        ("int", "more", "i"),
        ("more", "bigint", "i"),
        ("int[]", "bigint[]", "i"),
        ("bigint[]", "int[]", "a"),
        ("uuid[]", "text[]", "io"),
        ("int[]", "int", None),
        ("text[]", "text", "io"),
    ],
)
def test_casts_are_known_as_postgresql_knows_them(conn: Connection, one: str, other: str, context: str | None) -> None:
    """Domains are seen through, arrays by their elements, texts go by input and output."""
    first, second = inventory.type_named(conn, one), inventory.type_named(conn, other)
    assert first is not None
    assert second is not None
    assert inventory.cast_context(conn, first.oid, second.oid) == context


def test_the_inventory_of_objects_is_complete(conn: Connection) -> None:
    """Each kind of object has a readable name and a definition; schema migrator is left out."""
    with transaction(conn):
        execute(conn, "CREATE SCHEMA migrator; CREATE TABLE migrator.t (x int)")
        found = inventory.objects(conn)
        execute(conn, "DROP SCHEMA migrator CASCADE")
    full = 'public."O\'Brien\'s %s :x ""T"""'
    assert not [one for one in found if "migrator" in one or "pg_catalog" in one.partition(" ")[2]]
    assert found[f"table {full}"] == ""
    assert found[f"column {full}.code"] == "character varying(20)"
    assert found[f'constraint "ck %s" on {full}'].startswith("CHECK")
    assert found["index public.partial"].endswith("WHERE (price > (5)::numeric)")
    assert "BEFORE INSERT OR UPDATE" in found[f'trigger "t %s" on {full}']
    assert found[f"trigger off on {full}"].endswith("[DISABLED]")
    assert "USING" in found[f'policy "p %s" on {full}']
    assert "RETURN new" in found['function public."f %s"()']
    assert found['type "Sch %s"."St:atus"'] == "ENUM ('new', '100%', 'it''s', ':x', '$1')"
    assert found["type public.positive"] == "DOMAIN integer NOT NULL CONSTRAINT positive_check CHECK ((VALUE > 0))"
    assert found[f"row security of {full}"] == "ENABLED"
    assert found[f"comment on table {full}"] == "it's 100%"
    assert found[f"comment on table column {full}.code"] == "a :code"
    assert "INSERT" in found[f"grants on table {full} to postgres"]
    assert found[f"owner of table {full}"] == "postgres"
    assert found["table public.child"] == "PARTITION BY RANGE (id)"
    assert found["table public.child_1"] == "PARTITION OF public.child FOR VALUES FROM (0) TO (100)"
    assert "OWNED BY" in next(text for name, text in found.items() if name.startswith("sequence"))
    assert "SELECT" in found["view public.v"]


CHANGES = [
    f"ALTER TABLE {SQL} ADD COLUMN extra int",
    f"ALTER TABLE {SQL} ALTER COLUMN code SET DEFAULT '%s'",
    f"ALTER TABLE {SQL} ALTER COLUMN code SET STATISTICS 7",
    f"ALTER TABLE {SQL} ALTER COLUMN price SET NOT NULL",
    f"ALTER TABLE {SQL} ADD CONSTRAINT new CHECK (price < 9) NOT VALID",
    f"ALTER TABLE {SQL} SET (fillfactor = 50)",
    f"ALTER TABLE {SQL} REPLICA IDENTITY FULL",
    f"ALTER TABLE {SQL} FORCE ROW LEVEL SECURITY",
    f"ALTER TABLE {SQL} ENABLE ALWAYS TRIGGER off",
    f"CREATE INDEX ON {SQL} (born)",
    f"GRANT SELECT ON {SQL} TO PUBLIC",
    f"GRANT SELECT (code) ON {SQL} TO PUBLIC",
    f"COMMENT ON TABLE {SQL} IS NULL",
    f"COMMENT ON TRIGGER off ON {SQL} IS 'x'",
    f"COMMENT ON CONSTRAINT \"ck %s\" ON {SQL} IS 'x'",
    "COMMENT ON INDEX partial IS 'x'",
    f'ALTER POLICY "p %s" ON {SQL} USING (true)',
    "ALTER TYPE \"Sch %s\".\"St:atus\" RENAME VALUE ':x' TO ':y'",
    f"CREATE STATISTICS st ON code, price FROM {SQL}",
    f"CREATE RULE r AS ON DELETE TO {SQL} DO INSTEAD NOTHING",
    "CREATE OR REPLACE FUNCTION \"f %s\"() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN old; END'",
    'REVOKE ALL ON FUNCTION "f %s" FROM PUBLIC',
    "CREATE SEQUENCE loose",
    "CREATE SCHEMA empty",
    "CREATE TABLE child_2 PARTITION OF child FOR VALUES FROM (100) TO (200)",
    "ALTER TABLE child DETACH PARTITION child_1",
    f"CREATE PUBLICATION pub FOR TABLE {SQL}",
    "ALTER DOMAIN more ADD CHECK (VALUE < 9)",
]


@pytest.mark.parametrize("change", CHANGES)
def test_no_change_escapes_the_inventory(conn: Connection, change: str) -> None:
    """Whatever is done to a schema shows, and is gone when it is undone."""
    before = inventory.objects(conn)
    execute(conn, "BEGIN")
    execute(conn, change)
    assert inventory.objects(conn) != before
    execute(conn, "ROLLBACK")
    assert inventory.objects(conn) == before


def test_schemas_can_be_chosen(conn: Connection) -> None:
    """Only what is asked for is listed, no schema is no object."""
    assert {name.partition(" ")[0] for name in inventory.objects(conn, ["Sch %s"])} == {
        "schema",
        "type",
        "grants",
    }
    assert inventory.objects(conn, []) == {}


def test_a_timeout_for_statements_is_not_for_questions_to_the_catalog(conn: Connection) -> None:
    """What a role or database allows its own statements does not stop ours, and stays what it was."""
    execute(conn, "SET statement_timeout = '20ms'")
    assert [("",)] == catalog.ask_one(conn, "SELECT pg_sleep(0.1)::text")
    assert "20ms" == value(conn, "SHOW statement_timeout")
