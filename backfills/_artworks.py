"""What all backfills of artworks know: how an address is compared, what is test data, and which rows are twins.

One upload used to make two rows, seconds apart: the picture came into the first, the first e-mail links to the second.
"""

from migrator.model import Pattern, param, sql
from migrator.model.expressions import Sql
from migrator.model.parameters import Parameter

TEST_UPLOADS = param(
    "test_uploads", Pattern, default="^test-(pending|uploaded)$", help="what original_image_url of a test looks like"
)
TEST_ADDRESSES = param(
    "test_addresses", Pattern, default="@test[.]example$", help="what the folded address of a test looks like"
)
TEST_PICTURES = param(
    "test_pictures",
    Pattern,
    default="^https?://(www[.])?(example|test)[.]com/",
    help="what the address of a test's picture is",
)
TEST_TOKENS = param("test_tokens", Pattern, default="^test-artwork-[0-9]+$", help="what the token of a test looks like")
SHOP_ADDRESS = param("shop_address", help="the shop's own e-mail address, under which TESTER is a test")
TWIN_SECONDS = param(
    "twin_seconds",
    int,
    default=60,
    help="how far apart the two rows of one upload are at most",
    fits="[0-9]{1,5}",
    example="60",
)
ONLY_COMPLETED = param(
    "only_completed", bool, default=False, help="leave behind what has no picture and no order, as the guide does"
)

FOLDED = "lower(btrim(customer_email))"
COHORT = sql(FOLDED)
BLANK = sql("customer_email !~ '[^[:space:]]'")

# Each rule as a test of one row, and the parameter that says what it looks for.
_TESTS: dict[str, tuple[str, Parameter]] = {
    "test data: an upload of a test": ("{row}.original_image_url ~ nullif({test_uploads}, '')", TEST_UPLOADS),
    "test data: an address for tests": (
        "lower(btrim({row}.customer_email)) ~ nullif({test_addresses}, '')",
        TEST_ADDRESSES,
    ),
    "test data: TESTER at the shop's own address": (
        "({row}.customer_name = 'TESTER' AND lower(btrim({row}.customer_email)) = lower(btrim({shop_address})))",
        SHOP_ADDRESS,
    ),
    "test data: a picture on a domain for examples": (
        "({row}.original_image_url ~* nullif({test_pictures}, '')"
        " OR {row}.generated_image_url ~* nullif({test_pictures}, ''))",
        TEST_PICTURES,
    ),
    "test data: a token for tests": ("{row}.access_token ~ nullif({test_tokens}, '')", TEST_TOKENS),
}


def ordered(row: str = "artworks") -> str:
    """Write the condition that somebody ordered the artwork of a row."""
    return f"{row}.id IN (SELECT orders.artwork_id FROM orders WHERE orders.artwork_id IS NOT NULL)"


def like_a_test(row: str = "artworks") -> str:
    """Write the condition that a row looks like test data, by whatever rule."""
    return "(" + " OR ".join(f"coalesce({test.replace('{row}', row)}, false)" for test, _ in _TESTS.values()) + ")"


TEST_PLACES = {one.name: one for _, one in _TESTS.values()}

# What was ordered is never test data, whatever it looks like.
TEST_DATA = {
    name: sql(f"{test.replace('{row}', 'artworks')} AND NOT {ordered()}", **{one.name: one})
    for name, (test, one) in _TESTS.items()
}

# The rows that hold nothing but a token, each with the row of the same upload that became the artwork. What is asked of
# a row alone is asked first and once, so that the rest is a join, whatever the planner guesses: by the customer and by
# slots of time, so that who has thousands of rows has each compared with those of its time alone.
_PAIRS = f"""
    WITH seen AS MATERIALIZED (
        SELECT id, {FOLDED} AS address, customer_name AS name, pet_name, user_id, original_image_url AS original,
            original_pet_mom_url AS mom, original_pet_url AS pet, extract(epoch FROM created_at) AS made_at,
            floor(extract(epoch FROM created_at) / greatest({{twin_seconds}}, 1)) AS slot,
            access_token IS NOT NULL AND coalesce(generated_image_url, '') = '' AND mockup_urls IS NULL
                AND coalesce(generation_status, 'pending') = 'pending' AND coalesce(upscaled_image_url, '') = ''
                AND customer_email ~ '[^[:space:]]' AND NOT {like_a_test()} AND NOT {ordered()} AS is_bare,
            access_token IS NOT NULL AND generated_image_url <> ''
                AND (NOT {like_a_test()} OR {ordered()}) AS has_picture
        FROM artworks),
    pictures AS MATERIALIZED (
        SELECT seen.*, slot + near AS near_slot FROM seen CROSS JOIN generate_series(-1, 1) AS slots (near)
        WHERE has_picture)
    SELECT DISTINCT ON (loser.id) loser.id AS key1, winner.id AS winner1
    FROM seen AS loser JOIN pictures AS winner
        ON winner.address = loser.address AND winner.name = loser.name AND winner.near_slot = loser.slot
    WHERE loser.is_bare AND CASE
        WHEN (abs(winner.made_at - loser.made_at) <= {{twin_seconds}}) IS NOT TRUE THEN false
        WHEN coalesce(loser.original, 'pending') NOT IN ('pending', coalesce(winner.original, 'pending')) THEN false
        WHEN coalesce(loser.pet, winner.pet, '') <> coalesce(winner.pet, '') THEN false
        WHEN coalesce(loser.mom, winner.mom, '') <> coalesce(winner.mom, '') THEN false
        WHEN coalesce(loser.pet_name, winner.pet_name, '') <> coalesce(winner.pet_name, '') THEN false
        ELSE coalesce(loser.user_id, winner.user_id) IS NOT DISTINCT FROM winner.user_id END
    ORDER BY loser.id, abs(winner.made_at - loser.made_at), winner.id
"""
TWIN_PLACES = {**TEST_PLACES, "twin_seconds": TWIN_SECONDS}
TWINS = sql(_PAIRS, **TWIN_PLACES)


def twin_of_another(before: str = "") -> Sql:
    """Write the condition that a row is the lesser twin of another, after whatever else must be true."""
    return sql(f"{before} artworks.id IN (SELECT twin.key1 FROM ({_PAIRS}) AS twin)", **TWIN_PLACES)


# What has neither a picture nor an order; a twin is none of it, for its link must go on working.
NOT_COMPLETED = sql(
    "{only} AND coalesce(generated_image_url, '') = '' AND generation_status IS DISTINCT FROM 'completed'"
    f" AND NOT {ordered()} AND NOT {{twin}}",
    only=ONLY_COMPLETED,
    twin=twin_of_another(),
)
