"""What all backfills of the photo library share: what a job's text says, and which images a job is ordered for.

A payload is text, and a status was text: whatever stands there, reading it never fails. What is not known to be over
counts as open, so that no second job is ordered beside one that may still run.
"""

from migrator.model import (
    Backfill,
    File,
    clock,
    column,
    constant,
    derived_text,
    given,
    pace,
    param,
    readable,
    sql,
)
from migrator.model.expressions import Sql

MOMENT = "[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}(:[0-9]{2})?)?"

STATUS_WORDS = param(
    "status_words", File, help="a word that stands as status of a job (BLANK for none), and what it means"
)
MISSING_FILES = param(
    "missing_files", File, help="the id of an image whose file is nowhere, and where it was looked for"
)
MOVED_FILES = param("moved_files", File, help="the id of an image, and where a job that crashed left its file")
RETRY_FAILED = param(
    "retry_failed",
    int,
    default=0,
    help="how many jobs of a kind may have failed before none is ordered",
    fits="[0-9]{1,9}",
    example="0",
)
TERMINAL = param(
    "terminal",
    default="STORED",
    help="statuses of images that are done with, separated by commas",
    labels_of="status",
)
PROCESSING_BEFORE = param(
    "processing_before",
    help="images that are PROCESSING and were last touched before this moment (UTC) are served too",
    fits=MOMENT,
    example="2026-02-01 12:00",
)
OPEN_JOBS = param(
    "open_jobs", int, default=200, help="how many ordered jobs may wait at once", fits="[0-9]{1,9}", example="200"
)

# Deeper or longer than any payload is; what is would stop the server that reads it.
MOST_BRACKETS, MOST_BYTES = 100, 1 << 20


def word(status: str) -> str:
    """Write a status without what is around it, in capitals."""
    return rf"upper(btrim({status}, E' \t\r\n'))"


def is_legible(payload: str) -> Sql:
    """Hold where a payload is JSON that can be read without harm."""
    brackets = f"length({payload}) - length(translate({payload}, '[{{', '')) <= {MOST_BRACKETS}"
    return sql(
        f"CASE WHEN octet_length({payload}) <= {MOST_BYTES} AND {brackets} THEN {{readable}} ELSE false END",
        readable=readable(sql(payload), "jsonb"),
    )


def image_of(payload: str) -> Sql:
    """Give the id of the image that a payload names; NULL where it names none."""
    named = f"CASE jsonb_typeof({payload}::jsonb -> 'imageId') WHEN 'string' THEN {payload}::jsonb ->> 'imageId' END"
    return sql(f"CASE WHEN {{legible}} THEN {named} END", legible=is_legible(payload))


# What a job whose word nobody knows is taken for: what was decided since, and open until then.
STATUS = (
    f"CASE WHEN {word('j.status::text')} IN ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED') THEN {word('j.status::text')}"
    " ELSE coalesce(to_jsonb(j) ->> 'status_new', 'PENDING') END"
)


# Read once for many images: what a job says of its image is worked out a single time, and looked up by key.
JOBS_OF = (
    "FROM (SELECT coalesce(to_jsonb(j) ->> 'imageId', {{image}}) AS image"
    ' FROM "Job" AS j WHERE {which} OFFSET 0) AS o'
)


def is_open(kind: str) -> Sql:
    """Hold for images for which a job of this kind is not known to be over."""
    jobs = JOBS_OF.format(which=f"j.type = '{kind}' AND {STATUS} NOT IN ('COMPLETED', 'FAILED')")
    return sql(
        f'coalesce((SELECT jsonb_object_agg(o.image, true) {jobs} WHERE o.image IS NOT NULL) ? "Image".id, false)',
        image=image_of("j.payload"),
    )


def failed_too_often(kind: str) -> Sql:
    """Hold for images of which more jobs of this kind failed than may be tried again."""
    jobs = JOBS_OF.format(which=f"j.type = '{kind}' AND {STATUS} = 'FAILED'")
    return sql(
        "coalesce(((SELECT jsonb_object_agg(counted.image, counted.number) FROM (SELECT o.image, count(*) AS number"
        f' {jobs} WHERE o.image IS NOT NULL GROUP BY 1) AS counted) ->> "Image".id)::bigint, 0) > {{retry}}',
        image=image_of("j.payload"),
        retry=RETRY_FAILED,
    )


def ordering(kind: str, *, asset: str, called: str, more: str = "") -> Backfill:
    """Order one job of a kind for every image whose asset is missing; `more` ends the payload."""
    return Backfill(
        source="Image",
        key="id",
        target="Job",
        identity="id",
        skip={
            f"it has a {called}": sql(f"to_jsonb(\"Image\") ->> '{asset}' IS NOT NULL"),
            "it is done with": sql(
                r"""status::text = ANY (regexp_split_to_array(btrim({terminal}), '\s*,\s*'))""", terminal=TERMINAL
            ),
            "it was not ingested": sql("status::text IN ('UPLOADED', 'FAILED')"),
            "it is being worked on": sql(
                """status::text = 'PROCESSING' AND NOT coalesce("updatedAt" < {before}::timestamp, false)""",
                before=PROCESSING_BEFORE,
            ),
            "a job that moves its file is open": is_open("OFFLOAD_ORIGINAL"),
            "such a job of it is open": is_open(kind),
            "such jobs of it failed": failed_too_often(kind),
        },
        quarantine={"source file gone": sql("{gone} IS NOT NULL", gone=given(MISSING_FILES))},
        columns={
            "id": derived_text(prefix="mg", length=23, salt=kind),
            "type": constant(kind),
            "payload": sql(
                f"""'{{"type":"{kind}","imageId":' || to_json(id) || ',"originalPath":'"""
                f""" || to_json(coalesce({{moved}}, "tempPath")) || '{more}}}'""",
                moved=given(MOVED_FILES),
            ),
            "status": constant("PENDING"),
            "status_new": constant("PENDING"),
            "maxAttempts": constant(3),
            "imageId": column("id"),
            "createdAt": clock(),
            "updatedAt": clock(),
        },
        volatile=("createdAt", "updatedAt"),
        handed_over=True,
        pace=pace(
            at_most=OPEN_JOBS,
            open=sql(r"""SELECT count(*) FROM "Job" WHERE id LIKE 'mg%' AND status::text IN ('PENDING', 'RUNNING')"""),
        ),
        left_behind={
            "title": "a job knows the image by its id",
            "checksum": "the same",
            "mimeType": "the same",
            "width": "the same",
            "height": "the same",
            "sizeBytes": "the same",
            "createdAt": "the job has a time of its own",
        },
    )
