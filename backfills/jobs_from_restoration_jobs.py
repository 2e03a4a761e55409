"""restoration_jobs → jobs: every restoration was of one uploaded photo, and becomes one job of the same id.

A job belongs to an e-mail address, and the old table has the subject of a login: parameter identity_map says whose
that is. Nobody is guessed. What a document of a job says is nobody's address and no URL: buckets have other readers.
"""

from __future__ import annotations

from migrator.model import Backfill, column, defaulted, document, flagged, sql

from ._restoration import COPY_OBJECTS, EMAIL, NOBODY, PLACEHOLDER_EMAIL, STATUS

META = sql(
    f"""jsonb_strip_nulls(jsonb_build_object(
        'job_id', id, 'created_at', coalesce(created_at, updated_at), 'denoise', denoise, 'megapixels', 1.0,
        'legacy_status', {STATUS}))"""
)

backfill = Backfill(
    source="restoration_jobs",
    key="id",
    target="jobs",
    identity="id",
    # A row that has this id is this job; that its address is another is told by verify.
    merge=("id", "email"),
    quarantine=NOBODY,
    columns={
        "id": column("id"),
        "email": defaulted(EMAIL, PLACEHOLDER_EMAIL, reason="no identity map names its user: placeholder_email"),
        "created_at": flagged(
            sql("coalesce(created_at, updated_at)"),
            when=sql("created_at IS NULL"),
            reason="is its last change, for the beginning was never recorded",
        ),
    },
    documents={"meta": document("meta/{id}.json", META, only_if=COPY_OBJECTS)},
    left_behind={
        "status": "the attempt tells what became of it",
        "original_image_url": "kept in params of the attempt",
        "processed_image_url": "its key is the attempt's",
        "denoise": "kept in params of the attempt",
        "error_message": "kept in params of the attempt",
    },
)
