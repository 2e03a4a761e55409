"""artworks → artworks_v2: every artwork under the id its orders know, the two rows of one upload as one."""

from migrator.model import (
    Backfill,
    column,
    defaulted,
    estimated,
    flagged,
    lookup,
    missing,
    moved_to,
    paired,
    param,
    rule,
    rules,
    sql,
)
from migrator.model.expressions import Flagged

from ._artworks import (
    BLANK,
    COHORT,
    NOT_COMPLETED,
    TEST_DATA,
    TEST_PLACES,
    TWINS,
    like_a_test,
)

MISSING_IMAGE = param(
    "missing_image", help="what stands for a picture nobody stored; without it such rows wait in quarantine"
)

PICTURE = "coalesce(generated_image_url, '') <> ''"
NEVER_RECORDED = "the old table never recorded it"

USER = rules(
    "user",
    rule("the artwork names its user", when=sql("user_id IS NOT NULL"), value=column("user_id")),
    otherwise=moved_to("users_from_artworks"),
)

GENERATION = rules(
    "generation",
    rule(
        "pending, and its picture is there",
        when=sql(f"coalesce(generation_status, 'pending') = 'pending' AND {PICTURE}"),
        value="completed",
    ),
    rule("nothing was said: pending", when=sql("generation_status IS NULL"), value="pending"),
    otherwise=lookup(
        "generation_status",
        {"pending": "pending", "processing": "processing", "completed": "completed", "failed": "failed"},
    ),
)

# The old default was pending for every row; the new word means that somebody asked, and paid.
BY_DEFAULT = "coalesce(upscale_status, 'pending') = 'pending'"
PAID_PRINT = """artworks.id IN (SELECT orders.artwork_id FROM orders WHERE orders.artwork_id IS NOT NULL
    AND orders.product_type <> 'digital' AND orders.order_status IN ('paid', 'processing', 'shipped', 'delivered'))"""

UPSCALE = rules(
    "upscaling",
    rule(
        "not done by its word, and its file is there",
        when=sql(f"({BY_DEFAULT} OR upscale_status = 'not_required') AND coalesce(upscaled_image_url, '') <> ''"),
        value="completed",
    ),
    rule("a print was paid that waits for it", when=sql(f"{BY_DEFAULT} AND {PAID_PRINT}"), value="pending"),
    rule("pending was the default", when=sql(BY_DEFAULT), value="not_started"),
    rule("not required", when=sql("upscale_status = 'not_required'"), value="not_started"),
    otherwise=lookup("upscale_status", {"processing": "processing", "completed": "completed", "failed": "failed"}),
)


def picture(name: str) -> Flagged:
    """Take the address of a picture the artwork was made from, or what stands for it; never a made-up one."""
    return flagged(
        sql(f"coalesce(nullif({name}, ''), nullif({{sentinel}}, ''))", sentinel=MISSING_IMAGE),
        when=sql(f"coalesce({name}, '') = ''"),
        reason="the upload never stored it: missing_image stands for it",
    )


backfill = Backfill(
    source="artworks",
    key="id",
    target="artworks_v2",
    identity="id",
    group=paired(TWINS),
    cohort=COHORT,
    skip={**TEST_DATA, "only_completed: neither a picture nor an order": NOT_COMPLETED},
    quarantine={"it has no access token": sql("access_token IS NULL")},
    columns={
        "id": column("id"),
        "user_id": USER,
        "customer_name": flagged(
            "customer_name",
            when=sql(like_a_test(), **TEST_PLACES),
            reason="of a row that looks like test data, and was ordered",
        ),
        "customer_email": flagged("customer_email", when=BLANK, reason="blank: the artwork has no user by it"),
        "pet_name": column("pet_name"),
        "pet_mom_image_url": picture("original_pet_mom_url"),
        "pet_image_url": picture("original_pet_url"),
        "generated_image_url": flagged(
            "generated_image_url",
            when=sql("generated_image_url ~* '^https?://([^/]*[.])?fal[.](ai|media|run)(:[0-9]+)?/'"),
            reason="on fal.ai, which keeps files for seven days",
        ),
        "upscaled_image_url": column("upscaled_image_url"),
        "generation_status": flagged(
            GENERATION,
            when=sql(f"{{made}} AND NOT {PICTURE}", made=GENERATION.equals("completed")),
            reason="completed, and no picture is there",
        ),
        # The query of the new library that finds what to make larger, which is paid for.
        "upscale_status": flagged(
            UPSCALE,
            when=GENERATION.equals("completed") & UPSCALE.equals("not_started"),
            reason="not_started and completed: the new library would take it for upscaling",
        ),
        "generation_started_at": missing(NEVER_RECORDED),
        "generation_completed_at": estimated(
            sql("CASE WHEN {made} THEN updated_at END", made=GENERATION.equals("completed")),
            reason="the last change of the row, for the end of the work was never recorded",
        ),
        "upscale_started_at": missing(NEVER_RECORDED),
        "upscale_completed_at": column("upscaled_at"),
        "access_token": column("access_token"),
        "token_expires_at": defaulted(
            "token_expires_at",
            sql("created_at + interval '30 days'"),
            reason="never recorded: thirty days, as every link has",
        ),
        "mockup_urls": column("mockup_urls"),
        "mockup_generated_at": column("mockup_generated_at"),
        "fal_request_id": missing(NEVER_RECORDED),
        # What has no column of its own any more.
        "generation_params": sql(
            """nullif(jsonb_strip_nulls(jsonb_build_object(
                'original_image_url', original_image_url,
                'legacy_generation_status', CASE WHEN generation_status <> ({generation})::text
                    THEN generation_status END,
                'legacy_upscale_status', CASE WHEN upscale_status <> ({upscale})::text THEN upscale_status END
            )), '{}'::jsonb)""",
            generation=GENERATION,
            upscale=UPSCALE,
        ),
        "created_at": column("created_at"),
        "updated_at": column("updated_at"),
    },
)
