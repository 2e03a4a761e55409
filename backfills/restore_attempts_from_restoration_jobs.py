"""restoration_jobs → restore_attempts: every restoration was one attempt, whatever became of it.

The new application has words of its own in the place of a key: failed, and pending for work that is not done. What the
new table has no column for is in params: nothing of the old row is lost.

Where copy_objects asks for it, its pictures go with it: the finished one to the key that it then has, the original to
where the new application looks for the input of a job.
"""

from __future__ import annotations

from migrator.model import (
    Backfill,
    column,
    derived_uuid,
    flagged,
    given,
    moved_object,
    object_key,
    rule,
    rules,
    sql,
)

from ._restoration import (
    COMPLETED,
    COPY_OBJECTS,
    ENDED,
    ERROR,
    FINISHED_AS_IT_STANDS,
    FINISHED_BUCKET,
    FINISHED_KEY,
    GIVEN_UP,
    MODEL,
    NOBODY,
    ORIGINAL_AS_IT_STANDS,
    ORIGINAL_BUCKET,
    ORIGINAL_KEY,
    PROCESSED_KEY,
    STATUS,
)

OUTCOME = rules(
    "outcome",
    rule("completed", when=COMPLETED, value=PROCESSED_KEY),
    rule("failed", when=sql(f"{STATUS} = 'failed'"), value="failed"),
    rule("given up: no end was recorded within stale_after of the newest job", when=GIVEN_UP, value="failed"),
    rule("asked for and never begun", when=sql(f"{STATUS} = 'pending'"), value="pending"),
    rule("begun and never ended", when=sql(f"{STATUS} = 'processing'"), value="pending"),
)

OBJECTS = {
    "picture": moved_object(
        FINISHED_KEY,
        or_else=FINISHED_AS_IT_STANDS,
        bucket=FINISHED_BUCKET,
        to="restored/{job_id}/{id}.jpg",
        only_if=COPY_OBJECTS,
    ),
    "original": moved_object(
        ORIGINAL_KEY,
        or_else=ORIGINAL_AS_IT_STANDS,
        bucket=ORIGINAL_BUCKET,
        to="processed/{job_id}{ext}",
        only_if=COPY_OBJECTS,
    ),
}

KEY = flagged(
    flagged(
        flagged(
            object_key("picture", otherwise=OUTCOME),
            when=COMPLETED & sql("split_part(processed_image_url, '?', 1) ~ '%[0-9A-Fa-f]{2}'"),
            reason="was percent-encoded",
        ),
        when=COMPLETED & sql("split_part(processed_image_url, '?', 1) ~ '%25[0-9A-Fa-f]{2}'"),
        reason="was percent-encoded twice",
    ),
    when=~COMPLETED & sql("processed_image_url <> ''"),
    reason="a picture is named, though the work did not end well: kept in params",
)

PARAMS = sql(
    f"""jsonb_strip_nulls(jsonb_build_object(
        'denoise', denoise, 'megapixels', 1.0, 'error', {{error}}, 'legacy_status', {STATUS},
        'original_image_url', NULLIF(original_image_url, ''), 'original_s3_key', {{original_key}},
        'processed_image_url', NULLIF(processed_image_url, '')))""",
    error=ERROR,
    original_key=ORIGINAL_KEY,
)

CREATED = flagged(
    sql("coalesce(updated_at, created_at)"),
    when=ENDED & sql("updated_at IS NULL"),
    reason="is its beginning, for the end was never recorded",
)

backfill = Backfill(
    source="restoration_jobs",
    key="id",
    target="restore_attempts",
    identity="id",
    quarantine={
        **NOBODY,
        "completed, and no picture is named": COMPLETED & sql("coalesce(btrim(processed_image_url), '') = ''"),
        "completed, and the URL of its picture holds no key": COMPLETED & sql("{key} IS NULL", key=PROCESSED_KEY),
    },
    objects=OBJECTS,
    columns={
        "id": derived_uuid(),
        "job_id": column("id"),
        "s3_key": KEY,
        "model": given(MODEL),
        "params": flagged(
            PARAMS,
            when=sql("({wanted})::boolean AND {key} IS NULL", wanted=given(COPY_OBJECTS), key=ORIGINAL_KEY),
            reason="the URL of the original holds no key: there is nothing to copy",
        ),
        "created_at": CREATED,
    },
)
