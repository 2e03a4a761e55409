"""Job, in place: status_new is filled by what status says, imageId by what the payload says.

An unknown word waits in quarantine before any type is touched. An image that is gone leaves no trace in imageId, and
the payload still knows it.
"""

from migrator.model import Backfill, constant, defaulted, discarded, given, lookup, sql

from ._photos import STATUS_WORDS, image_of, word

WORD = sql(
    "coalesce(upper(btrim({told})), {word})",
    told=given(STATUS_WORDS, by=sql(f"coalesce(nullif({word('status')}, ''), 'BLANK')")),
    word=sql(word("status")),
)

backfill = Backfill(
    source="Job",
    key="id",
    target="Job",
    columns={
        "status_new": lookup(
            WORD, {"PENDING": "PENDING", "RUNNING": "RUNNING", "COMPLETED": "COMPLETED", "FAILED": "FAILED"}
        ),
        "imageId": discarded(
            defaulted(
                sql('coalesce("imageId", {named})', named=image_of("payload")),
                constant(None),
                reason="the payload names no image",
            ),
            when=sql(
                'NOT EXISTS (SELECT FROM "Image" AS i WHERE i.id = coalesce("Job"."imageId", {named}))',
                named=image_of("payload"),
            ),
            reason="the image is gone; the payload still names it",
        ),
    },
)
