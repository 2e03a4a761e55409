"""The traps of guide 004 before the switch, each by its id: the guide's own SQL falls into it, ours does not.

All start from copies of one template, so from the same legacy database. What only reads what ours has made shares one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from migrator.database.connect import Database
from migrator.database.renames import of_table
from migrator.demo.artworks_v2 import digest, fates, planted
from migrator.demo.artworks_v2.fates import ALIASES, ARTWORKS, FLAGGED, NO_TOKEN, ON_FAL, SENTINEL, SMALL, USERS_MADE
from migrator.model.cohorts import Asked
from migrator.model.names import Relation
from migrator.model.step import State
from migrator.workflow import cohorts, use_cases
from tests.support import guide_004
from tests.support.databases import Databases
from tests.support.guide_004 import FOR_UPSCALING, run_phase_2
from tests.support.portraits import balances_of, desk_on, digest_of, expanded, legacy, moved, scalar
from tests.support.projects import check, execute, rows_of, silent, terms

EXPECTED, FATES = planted(), fates()
KINDS = ("ΜΑΡΊΑ@ΠΑΡΆΔΕΙΓΜΑ.example", "μαρία@παράδειγμα.example", "李@例え.example", f"{'x' * 300}@mail.example", "\t")


def key(number: int) -> str:
    """Give the id of the artwork with this number, as SQL."""
    return f"md5('1:artwork:{number}')::uuid"


@pytest.fixture(scope="module")
def ours(databases: Databases) -> Iterator[str]:
    """Give one database after the whole change, proven there; tests that write take a copy."""
    with databases.fresh(databases.template("artworks_v2 done", _done)) as url:
        yield url


@pytest.fixture(scope="module")
def changed(databases: Databases) -> Iterator[str]:
    """Give one database to whose old tables more was written before the change was applied and proven."""
    with databases.fresh(databases.template("artworks_v2 changed", _changed)) as url:
        yield url


@pytest.fixture(scope="module")
def theirs(databases: Databases) -> Iterator[str]:
    """Give one database after the guide's own SQL, in the tables that ours makes."""
    with databases.fresh(databases.template("artworks_v2 by the guide", _guided)) as url:
        yield url


@pytest.fixture
def done(database_from: Callable[[str, Callable[[str], object]], str]) -> Callable[[], str]:
    """Give copies of the database after the whole change."""
    return lambda: database_from("artworks_v2 done", _done)


@pytest.fixture
def new(database_from: Callable[[str, Callable[[str], object]], str]) -> Callable[[], str]:
    """Give copies of the legacy database with empty new tables."""
    return lambda: database_from("artworks_v2 expanded", expanded)


def _done(url: str) -> None:
    expanded(url)
    moved(url)


def _changed(url: str) -> None:
    expanded(url)
    execute(url, "INSERT INTO users (email) VALUES ('signed.up@mail.example')")
    for number, address in enumerate(KINDS):
        execute(
            url,
            "INSERT INTO artworks (customer_name, customer_email, access_token, token_expires_at, generation_status)"
            f" VALUES ('Kind {number}', '{address}', 'kind-{number}', '2099-12-31', 'failed')",
        )
    execute(
        url,
        f"UPDATE artworks SET original_image_url = 'test-drive.jpg' WHERE id = {key(18)};"
        f"UPDATE artworks SET original_image_url = 'test-pending' WHERE id = {key(0)}",
    )
    moved(url)


def _guided(url: str) -> None:
    expanded(url)
    run_phase_2(url)


def refused(url: str, statement: str) -> str:
    """Run a statement that must be refused, and give the class of its error."""
    with closing(psycopg.connect(url, autocommit=True)) as conn, pytest.raises(psycopg.Error) as error:
        conn.execute(statement.encode())
    return type(error.value).__name__


def test_a_t1_every_order_finds_its_artwork(ours: str, theirs: str) -> None:
    """By the guide artworks get random ids, and no order finds its own; ours keeps the id that orders know."""
    found = "SELECT count(*) FROM orders JOIN artworks_v2 ON artworks_v2.id = orders.artwork_id"
    assert 0 == scalar(theirs, found)
    assert EXPECTED.orders - EXPECTED.orders_of_nothing == scalar(ours, found)


def test_a_t2_the_column_is_made_before_it_is_filled(database: str) -> None:
    """The guide fills a column that is not there, and CREATE TABLE IF NOT EXISTS does not add it; ours adds it."""
    legacy(database, rows=4)
    execute(database, "CREATE TABLE IF NOT EXISTS users (id uuid, email text, is_anonymous boolean DEFAULT true)")
    assert "UndefinedColumn" == refused(database, guide_004.USERS)
    foretold = {one.backfill: one for one in use_cases.plan(desk_on(database), dry_run=True).balances}
    assert fates(rows=4)[FLAGGED].moved == foretold[FLAGGED].rows("moved")
    assert fates(rows=4)[USERS_MADE].moved == foretold[USERS_MADE].rows("moved")


def test_a_t3_nobody_who_registered_is_called_anonymous(new: Callable[[], str], ours: str, changed: str) -> None:
    """A column that comes with a default calls all of them anonymous; ours none, nor one who signs up meanwhile."""
    url = new()
    execute(url, "ALTER TABLE users ADD by_guide boolean DEFAULT true")
    assert EXPECTED.users == scalar(url, "SELECT count(*) FROM users WHERE by_guide")

    registered = "SELECT count(*) FROM users WHERE NOT is_anonymous"
    assert EXPECTED.users == scalar(ours, registered)
    assert FATES[USERS_MADE].moved == scalar(ours, "SELECT count(*) FROM users WHERE is_anonymous")
    assert EXPECTED.users + 1 == scalar(changed, registered)


def test_a_t4_an_artwork_stays_with_the_user_it_names(ours: str, theirs: str) -> None:
    """By the guide whoever registered with an artwork's address gets it; ours leaves it with its user."""
    owner = (
        "SELECT email FROM users JOIN artworks_v2 AS made ON made.user_id = users.id WHERE made.access_token = ("
        f"SELECT access_token FROM artworks WHERE id = {key(10)})"
    )
    assert "gift.0@mail.example" == scalar(theirs, owner)
    assert "berta.0@mail.example" == scalar(ours, owner)


def test_a_t5_one_customer_is_one_user_however_the_address_is_spelled(ours: str, theirs: str) -> None:
    """By the guide each spelling is a user, and the empty one too; ours makes one of each address, stored as it is."""
    several = "SELECT count(*) FROM (SELECT FROM users GROUP BY lower(btrim(email)) HAVING count(*) > 1) AS found"
    blank = "SELECT count(*) FROM users WHERE btrim(email) = ''"
    assert EXPECTED.spelled < scalar(theirs, several)
    assert (EXPECTED.blank_email, 0) == (scalar(theirs, blank), scalar(ours, blank))
    assert 0 == scalar(ours, several)
    addresses = "SELECT count(DISTINCT lower(btrim(customer_email))) FROM artworks_v2 WHERE btrim(customer_email) <> ''"
    assert scalar(ours, addresses) == scalar(
        ours,
        "SELECT count(DISTINCT users.id) FROM users JOIN artworks_v2"
        " ON lower(btrim(users.email)) = lower(btrim(customer_email))",
    )
    assert [("Jane.Doe.0@mail.example",)] == rows_of(ours, "SELECT email FROM users WHERE lower(email) ~ '^jane'")
    assert 0 == scalar(ours, "SELECT count(*) FROM artworks_v2 WHERE btrim(customer_email) <> '' AND user_id IS NULL")


def test_a_t5_addresses_of_every_kind_end_in_the_balance(changed: str) -> None:
    """Blanks, other scripts and 300 characters: each address is folded as it is compared, and none stops the run."""
    assert all(one.closes for one in balances_of(desk_on(changed)).values())
    # How many of them are the same in lower case is for the database's own rules of letters to say.
    folded = "SELECT count(DISTINCT lower(customer_email)) FROM artworks WHERE access_token ~ '^kind-[0-3]'"
    users = "SELECT count(DISTINCT user_id) FROM artworks_v2 WHERE access_token ~ '^kind-'"
    assert scalar(changed, folded) == scalar(changed, users)
    assert None is scalar(changed, "SELECT user_id FROM artworks_v2 WHERE access_token = 'kind-4'")
    assert sorted(KINDS) == sorted(
        one for (one,) in rows_of(changed, "SELECT customer_email FROM artworks_v2 WHERE access_token ~ '^kind-'")
    )


def test_a_t5_two_uploads_at_once_make_one_user(new: Callable[[], str]) -> None:
    """The documented function looks and then inserts, so that two at once make two users; ours waits for the other."""
    url = new()
    with closing(psycopg.connect(url)) as first, ThreadPoolExecutor(1) as other:
        made = first.execute("SELECT create_anonymous_user('Race@mail.example')").fetchone()
        second = other.submit(scalar, url, "SELECT create_anonymous_user(' race@MAIL.example')")
        until = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND query ~ 'race@MAIL'"
        while scalar(url, until) == 0:
            pass
        first.commit()
        assert made == (second.result(),)
    assert 1 == scalar(url, "SELECT count(*) FROM users WHERE email ~* 'race@'")


def test_a_t6_what_stands_for_a_picture_is_counted_or_refused(ours: str, theirs: str) -> None:
    """By the guide a sentinel passes NOT NULL and nothing tells; ours flags every one, or keeps such rows back."""
    sentinel = "SELECT count(*) FROM artworks_v2 WHERE pet_image_url = 'migrated-missing'"
    assert scalar(theirs, sentinel) > 0
    flags = balances_of(desk_on(ours))[ARTWORKS].flags
    assert scalar(ours, sentinel) == flags[f"pet_image_url {SENTINEL}"] == flags[f"pet_mom_image_url {SENTINEL}"]
    assert 0 == scalar(ours, f"{sentinel} AND id IN (SELECT id FROM artworks WHERE original_pet_url <> '')")


def test_a_t6_without_a_sentinel_such_rows_wait(new: Callable[[], str]) -> None:
    """Nobody having said what stands for a picture, the rows without one are kept back, by name."""
    found = terms(desk_on(new(), missing_image=""), ARTWORKS, planned=True)
    assert 1 == found["moved", ""]  # of the ninth upload, whose pictures are known
    assert FATES[ARTWORKS].moved - 1 == found["quarantined", "pet_mom_image_url: NULL is not allowed"]


def test_a_t7_pictures_on_fal_are_told(ours: str) -> None:
    """A copied address of a file that is kept for seven days is no picture; ours keeps it and flags every one."""
    on_fal = "SELECT count(*) FROM artworks_v2 WHERE generated_image_url LIKE 'https://v3.fal.media/%'"
    assert scalar(ours, on_fal) == balances_of(desk_on(ours))[ARTWORKS].flags[ON_FAL] == FATES[ARTWORKS].flags[ON_FAL]


def test_a_t8_a_paid_order_keeps_its_artwork_whatever_its_status(ours: str, theirs: str) -> None:
    """By the guide only what is completed moves, and paid orders lose their artwork; ours moves every status."""
    paid = (
        "SELECT count(*) FROM orders JOIN artworks AS old ON old.id = artwork_id JOIN artworks_v2 AS made"
        " USING (access_token) WHERE order_status = 'paid' AND old.generation_status <> 'completed'"
    )
    assert 0 == scalar(theirs, paid)
    assert EXPECTED.paid_and_not_completed == scalar(ours, paid)
    with_image = (
        "SELECT count(*) FROM artworks_v2 JOIN artworks AS old USING (id) WHERE old.generation_status = 'pending'"
        " AND old.generated_image_url IS NOT NULL AND artworks_v2.generation_status = 'completed'"
    )
    assert EXPECTED.pending_with_image - 1 == scalar(ours, with_image)  # one of them has no token


def test_a_t9_what_is_large_already_is_not_paid_for_again(ours: str, theirs: str) -> None:
    """By the guide large files and mockups are lost and every artwork is made larger again; ours tells how many are."""
    large = "SELECT count(*) FROM artworks_v2 WHERE upscale_status = 'completed' AND upscaled_image_url <> ''"
    assert (0, 0) == (scalar(theirs, large), scalar(theirs, "SELECT count(mockup_urls) FROM artworks_v2"))
    assert scalar(theirs, "SELECT count(*) FROM artworks_v2") == scalar(theirs, FOR_UPSCALING)
    assert EXPECTED.upscaled == scalar(ours, large)
    mockups = "SELECT count(*) FROM artworks_v2 WHERE jsonb_typeof(mockup_urls) = '{}'"
    assert (EXPECTED.mockup_arrays, EXPECTED.mockup_objects) == (
        scalar(ours, mockups.format("array")),
        scalar(ours, mockups.format("object")),
    )
    assert FATES[ARTWORKS].flags[SMALL] == balances_of(desk_on(ours))[ARTWORKS].flags[SMALL]
    assert FATES[ARTWORKS].flags[SMALL] == scalar(ours, FOR_UPSCALING)


def test_a_t10_words_of_upscaling_keep_their_meaning(ours: str, new: Callable[[], str]) -> None:
    """Copied, not_required breaks a check and the old default becomes a request; ours asks only where a print waits."""
    copied = guide_004.ARTWORKS.replace("updated_at\n    )", "updated_at, upscale_status\n    )").replace(
        "a.updated_at\n", "a.updated_at, a.upscale_status\n"
    )
    url = new()
    execute(url, guide_004.USERS)
    assert "CheckViolation" == refused(url, copied)
    by_status = dict(rows_of(ours, "SELECT upscale_status, count(*) FROM artworks_v2 GROUP BY 1"))
    waiting = FATES[ARTWORKS].flags["upscaling: a print was paid that waits for it"]
    assert {"completed": EXPECTED.upscaled, "pending": waiting} == {
        word: number for word, number in by_status.items() if word != "not_started"
    }
    assert EXPECTED.not_required == scalar(
        ours, "SELECT count(*) FROM artworks_v2 WHERE generation_params ->> 'legacy_upscale_status' = 'not_required'"
    )


def test_a_t11_both_links_of_an_upload_open_it(ours: str, theirs: str) -> None:
    """By the guide the link of the first e-mail is dead; ours opens the same artwork by either."""
    token = f"(SELECT access_token FROM artworks WHERE id = {key(1)})"
    opened = f"SELECT artwork_id::text FROM get_artwork_lifecycle({token})"
    assert [] == rows_of(theirs, opened)
    assert rows_of(ours, f"SELECT {key(0)}::text") == rows_of(ours, opened)
    assert FATES[ALIASES].moved == scalar(ours, "SELECT count(*) FROM artwork_token_aliases")
    dead = (
        "SELECT count(*) FROM artworks WHERE access_token IS NOT NULL AND customer_email NOT LIKE '%test%'"
        " AND access_token NOT IN (SELECT access_token FROM artworks_v2 UNION ALL SELECT access_token"
        " FROM artwork_token_aliases) AND original_image_url = 'pending' AND customer_email ~ '(upload|jane|max)'"
    )
    assert scalar(theirs, dead) > 0
    assert 0 == scalar(ours, dead)


def test_a_t12_one_missing_expiry_stops_nothing(new: Callable[[], str], ours: str) -> None:
    """One NULL aborts the INSERT of the guide, when its users are made already; ours takes thirty days, flagged."""
    url = new()
    execute(url, f"UPDATE artworks SET token_expires_at = NULL WHERE id = {key(0)}")
    execute(url, guide_004.USERS)
    assert "NotNullViolation" == refused(url, guide_004.ARTWORKS)
    assert scalar(url, "SELECT count(*) FROM users WHERE is_anonymous") > 0

    late = "SELECT count(*) FROM {} AS made JOIN artworks AS old USING ({}) WHERE old.token_expires_at IS NULL"
    late += " AND made.token_expires_at = old.created_at + interval '30 days'"
    found = scalar(ours, late.format("artworks_v2", "id")) + scalar(
        ours, late.format("artwork_token_aliases", "access_token")
    )
    assert EXPECTED.without_expiry == found


def test_a_t13_test_data_is_told_by_name_and_is_never_what_was_ordered(changed: str, theirs: str) -> None:
    """The guide's LIKE loses a row with NULL and lets most tests through; ours names each, but no customer's row."""
    null = "SELECT count(*) FROM {} WHERE access_token IN (SELECT access_token FROM artworks WHERE original_image_url"
    null += " IS NULL)"
    tests = "SELECT count(*) FROM artworks_v2 WHERE customer_email ~ '(@test|^dev|^hello)' AND access_token NOT IN"
    tests += " (SELECT access_token FROM artworks JOIN orders ON orders.artwork_id = artworks.id"
    tests += " WHERE access_token IS NOT NULL)"
    assert 0 == scalar(theirs, null.format("artworks_v2"))
    assert scalar(theirs, tests) > 0

    desk = desk_on(changed)
    assert FATES[ARTWORKS].skipped == {
        reason: rows for (what, reason), rows in terms(desk, ARTWORKS).items() if what == "skipped"
    }
    without = EXPECTED.without_original + len(KINDS)
    assert (without, 0) == (scalar(changed, null.format("artworks_v2")), scalar(changed, tests))
    kept = f"SELECT count(*) FROM artworks_v2 WHERE id IN ({key(0)}, {key(18)})"
    assert 2 == scalar(changed, kept)
    flag = "customer_name of a row that looks like test data, and was ordered"
    assert EXPECTED.tests_ordered + 1 == balances_of(desk)[ARTWORKS].flags[flag]


def test_a_t14_a_second_run_takes_what_is_new(done: Callable[[], str], theirs: str) -> None:
    """A second run of the guide stops at the first token and takes nothing; ours takes the newer rows alone."""
    assert "UniqueViolation" == refused(theirs, guide_004.ARTWORKS)
    ours = done()
    before = scalar(ours, "SELECT count(*) FROM artworks_v2")
    execute(
        ours,
        "INSERT INTO artworks (customer_name, customer_email, access_token, token_expires_at, generation_status)"
        " VALUES ('Newer', 'newer@mail.example', 'newer', '2099-12-31', 'failed')",
    )
    report = use_cases.apply(desk_on(ours), listen=silent)
    assert (State.VERIFIED, True) == (report.state, report.proven)
    assert before + 1 == scalar(ours, "SELECT count(*) FROM artworks_v2")
    assert use_cases.apply(desk_on(ours), listen=silent).nothing_done


def test_a_t15_until_the_switch_the_old_table_is_written(done: Callable[[], str]) -> None:
    """An artwork that is only in the new table cannot be ordered; one that both have under one id can."""
    url = done()
    order = (
        "INSERT INTO orders (artwork_id, stripe_session_id, product_type, product_size, price_cents, customer_email,"
    )
    order += " customer_name) SELECT {}, {}, 'digital', 'digital', 1500, '', ''"
    made = "(SELECT id FROM create_artwork('Only New', 'only@mail.example', 'Rex', 'a', 'b'))"
    assert "ForeignKeyViolation" == refused(url, order.format(made, "'new'"))
    execute(url, order.format("(SELECT id FROM artworks_v2 ORDER BY id LIMIT 1)", "'both'"))


def test_a_t18_the_new_tables_are_shut_from_the_beginning(done: Callable[[], str]) -> None:
    """A table made by hand is open to whoever has grants; ours has row security, policies, and a check that tells."""
    url = done()
    security = "SELECT relrowsecurity FROM pg_class WHERE oid = '{}'::regclass"
    execute(url, "CREATE TABLE artworks_by_hand (LIKE artworks_v2 INCLUDING ALL)")
    assert False is scalar(url, security.format("artworks_by_hand"))
    assert {("artworks_v2", 2), ("artwork_token_aliases", 1)} == set(
        rows_of(url, "SELECT tablename, count(*) FROM pg_policies WHERE tablename ~ '^artwork(s_v2|_token)' GROUP BY 1")
    )
    with closing(psycopg.connect(url)) as conn, conn.transaction(force_rollback=True):
        conn.execute("CREATE ROLE migrator_test_customer")
        conn.execute("GRANT USAGE ON SCHEMA auth TO migrator_test_customer")
        conn.execute("GRANT SELECT ON artworks_v2, artwork_token_aliases, users TO migrator_test_customer")
        conn.execute("SELECT set_config('request.jwt.claim.sub', md5('1:user:ana:0')::uuid::text, true)")
        conn.execute("SET LOCAL ROLE migrator_test_customer")
        assert [("ana.0@mail.example",)] == conn.execute("SELECT customer_email FROM artworks_v2").fetchall()
        assert [] == conn.execute("SELECT access_token FROM artwork_token_aliases").fetchall()
    execute(url, "ALTER TABLE artworks_v2 DISABLE ROW LEVEL SECURITY")
    report = check(desk_on(url))
    assert False is report.proven
    assert ["check: row security is on"] == [
        one.claim for one in report.verdicts if not one.proven and one.claim.startswith("check")
    ]


def test_a_t20_what_is_left_behind_stays_with_its_orders(ours: str, new: Callable[[], str]) -> None:
    """Deleting old artworks deletes paid orders; ours deletes nothing, and every old row is as it was."""
    url = new()
    paid = "SELECT count(*) FROM orders WHERE order_status = 'paid'"
    before = digest_of(url)
    assert before == digest_of_old_rows(ours)
    execute(url, "DELETE FROM artworks WHERE token_expires_at < now()")
    assert scalar(url, paid) < EXPECTED.paid == scalar(ours, paid)


def digest_of_old_rows(url: str) -> str:
    """Digest the old tables without the users that ours has made, in a transaction that is rolled back."""
    with closing(psycopg.connect(url)) as conn, conn.transaction(force_rollback=True):
        conn.execute("DELETE FROM users WHERE is_anonymous")
        return digest(conn)


def test_a_t21_deleting_a_user_deletes_no_artwork_and_no_order(done: Callable[[], str]) -> None:
    """By the new schema as documented a user takes artworks and orders along; ours keeps them, without a user."""
    url = done()
    orders = scalar(url, "SELECT count(*) FROM orders")
    execute(url, "DELETE FROM users WHERE email = 'berta.0@mail.example'")
    assert [(None,)] == rows_of(url, f"SELECT user_id FROM artworks_v2 WHERE id = {key(10)}")
    assert orders == scalar(url, "SELECT count(*) FROM orders")


def test_a_t21_a_user_who_leaves_after_the_copy_is_told_and_his_customers_are_moved_anew(
    done: Callable[[], str], tmp_path: Path
) -> None:
    """What became of him is no success: named row by row, until the cohort of his address is taken back and moved."""
    url = done()
    execute(url, "DELETE FROM users WHERE email IN ('Ana.0@mail.example', 'berta.0@mail.example')")
    desk = desk_on(url)
    found = {one.backfill: dict(one.counts) for one in use_cases.apply(desk, listen=silent).comparisons if one.counts}
    assert {"altered": 2} == found[ARTWORKS]
    assert {"lost": 2} == found[USERS_MADE]  # both rows of Ana's upload were merged into her

    file = tmp_path / "left.txt"
    file.write_text("ana.0@mail.example\n gift.0@MAIL.example\n", encoding="utf-8")
    asked = Asked(file=file)
    lose = [one.sentence for one in cohorts.losses(desk, asked) if one.rows]
    assert ["2 rows of artworks_v2"] == lose
    cohorts.rollback(desk, asked, lose=lose, listen=silent)
    report = use_cases.apply(desk, listen=silent)
    assert (State.VERIFIED, True) == (report.state, report.proven)
    owners = "SELECT email, is_anonymous FROM users JOIN artworks_v2 AS made ON user_id = users.id WHERE made.id IN"
    assert [("ana.0@mail.example", True), ("gift.0@mail.example", False)] == rows_of(
        url, f"{owners} ({key(8)}, {key(10)}) ORDER BY 1"
    )


def test_a_t22_functions_go_with_the_table(done: Callable[[], str]) -> None:
    """A function that names artworks reads the old table until the rename; ours work before, and after it."""
    url = done()
    by_name = "CREATE FUNCTION by_name(token text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT"
    execute(url, f"{by_name} pet_image_url FROM artworks WHERE access_token = token); END $$")
    assert "UndefinedColumn" == refused(url, "SELECT by_name('')")
    _walk_through_functions(url, "before@mail.example")
    execute(url, "ALTER TABLE artworks RENAME TO artworks_old; ALTER TABLE artworks_v2 RENAME TO artworks")
    _walk_through_functions(url, "after@mail.example")
    alias = f"SELECT artwork_id = {key(0)} FROM get_artwork_lifecycle((SELECT access_token FROM artworks_old WHERE id ="
    assert True is scalar(url, f"{alias} {key(1)}))")
    assert 2 == scalar(url, "SELECT count(*) FROM artworks WHERE customer_email ~ '^(before|after)@'")


def _walk_through_functions(url: str, address: str) -> None:
    """Let one artwork live: made, being made, completed, larger; and look at it by its token."""
    made = f"SELECT id::text, access_token, user_id::text FROM create_artwork('Jane', '{address}', 'Rex', 'mom', 'pet')"
    ((artwork, token, user),) = rows_of(url, made)
    assert user == scalar(url, f"SELECT create_anonymous_user(' {address.upper()}')::text")
    change = f"SELECT {{}} FROM update_artwork_lifecycle('{artwork}', {{}})"
    started = "generation_started_at IS NOT NULL AND generation_completed_at IS NULL"
    assert True is scalar(url, change.format(started, "generation_status => 'processing', fal_request_id => 'fal_1'"))
    done = (
        "generation_completed_at >= generation_started_at AND upscale_started_at IS NULL AND fal_request_id = 'fal_1'"
    )
    assert True is scalar(
        url, change.format(done, "generation_status => 'completed', generated_image_url => 'https://fal.media/1.png'")
    )
    assert True is scalar(url, change.format("upscale_started_at IS NOT NULL", "upscale_status => 'processing'"))
    large = "upscale_status => 'completed', upscaled_image_url => 'https://fal.media/2.png'"
    assert True is scalar(url, change.format("upscale_completed_at IS NOT NULL AND updated_at >= created_at", large))
    seen = "SELECT artwork_id::text, generation_status, upscale_status FROM get_artwork_lifecycle(%s)"
    assert [(artwork, "completed", "completed")] == rows_of(url, seen, [token])
    assert "InvalidParameterValue" == refused(url, "SELECT create_artwork('Nobody', '  ', 'Rex', 'mom', 'pet')")


def test_a_t23_an_expired_link_stays_expired(ours: str) -> None:
    """Extending links opens old ones again; ours copies every date, so that what was shut stays shut."""
    same = "SELECT count(*) FROM artworks_v2 JOIN artworks AS old USING (id) WHERE"
    assert 0 == scalar(ours, f"{same} old.token_expires_at <> artworks_v2.token_expires_at")
    opened = "SELECT count(*) FROM artworks_v2, get_artwork_lifecycle(access_token) WHERE token_expires_at {} now()"
    assert (0, 2) == (scalar(ours, opened.format("<")), scalar(ours, opened.format(">")))


def test_a_t19_and_t24_by_renaming_every_name_fits_and_orders_can_be_pointed_anew(
    done: Callable[[], str], theirs: str
) -> None:
    """After the guide's rename orders cannot be pointed at the new table; after ours they can, and names are free."""
    anew = "ALTER TABLE orders ADD CONSTRAINT anew FOREIGN KEY (artwork_id) REFERENCES {} (id)"
    assert "ForeignKeyViolation" == refused(theirs, anew.format("artworks_v2"))

    url = done()
    before = {name for (name,) in rows_of(url, NAMES, ["artworks"])}
    for old, later in (("artworks", "artworks_old"), ("artworks_v2", "artworks")):
        relation = Relation("public", old)
        with Database(url=url).connect() as conn:
            oid = int(scalar(url, f"SELECT '{old}'::regclass::oid::int"))
            for one in of_table(conn, relation, oid, later):
                conn.execute(one.sql(relation).encode())
            conn.execute(f"ALTER TABLE {old} RENAME TO {later}".encode())
    after = {name for (name,) in rows_of(url, NAMES, ["artworks"])}
    assert {"artworks_pkey", "artworks_access_token_key", "artworks_user_id_fkey", "update_artworks_updated_at"} < after
    assert {"idx_artworks_user", "idx_artworks_email", "idx_artworks_token", "idx_artworks_upscale_status"} < after
    assert {"artworks_generation_status_check", "artworks_upscale_status_check", "idx_artworks_status"} <= before
    assert not [one for one in after if "_v2" in one or "_old" in one]
    execute(url, anew.format("artworks"))


NAMES = """
    SELECT conname::text FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype IN ('p', 'u', 'f', 'c')
    UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = to_regclass('artworks')
    UNION SELECT tgname::text FROM pg_trigger WHERE tgrelid = to_regclass('artworks') AND NOT tgisinternal
"""


def test_a_t26_a_backfill_says_how_many_rows_it_filled(new: Callable[[], str], ours: str) -> None:
    """A default fills what an UPDATE then looks for, which changes nothing and reports success; ours counts."""
    url = new()
    execute(url, "ALTER TABLE artworks ADD images jsonb DEFAULT '{}'")
    with closing(psycopg.connect(url)) as conn:
        filled = conn.execute("UPDATE artworks SET images = jsonb_build_object('generated', id) WHERE images IS NULL")
        assert 0 == filled.rowcount
    balance = balances_of(desk_on(ours))[FLAGGED]
    assert EXPECTED.users == balance.rows("moved")
    assert FATES[ARTWORKS].quarantined == {NO_TOKEN: EXPECTED.without_token}
