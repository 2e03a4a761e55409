"""What both backfills of multitalk_jobs know: the workflow of a row, and what its words mean.

The old table never recorded the workflow. The name of the output file is the best witness: ComfyUI
writes it with the prefix of the page that asked for it. Without a file, the inputs decide.
"""

from migrator.model import array, column, discarded, flagged, param, rule, rules, sql
from migrator.model.expressions import Sql

from ._studio import error_message, given_up, owner, status, stored, told_of_signed

FILE = 'filename COLLATE "C"'
IMAGE = 'image_filename COLLATE "C"'
AUDIO = 'audio_filename COLLATE "C"'

VIDEO_ENDING = "[.](mp4|mov|webm|mkv|avi|m4v|mpe?g)$"
LIST_OF_FILES = "^[^,]+[.][[:alnum:]]{2,4} *(,[^,]+[.][[:alnum:]]{2,4} *)+$"
NO_SOUND = "coalesce(audio_filename, '') = '' AND NOT coalesce(trim_to_audio, false)"
SMALL_AND_SILENT = f"width = 512 AND height = 512 AND {NO_SOUND}"


def output_begins(words: str) -> str:
    r"""Write the condition that the output's own name, without its folders, begins with one of the words.

    A ComfyUI on Linux keeps a Windows prefix (plataforma\lipsync1person) in the file name itself.
    """
    return rf"{FILE} ~ '(^|[\\/])({words})[^\\/]*$'"


MASKS = sql("coalesce(audio_filename = 'multiple_masks_audio', false)")
INPUT_IS_VIDEO = sql(f"coalesce({output_begins('lipsyncv2v')}, false) OR coalesce({IMAGE} ~* '{VIDEO_ENDING}', false)")

WORKFLOW = rules(
    "workflow",
    rule(
        "output named like one person",
        when=sql(output_begins("lipsync1person|WanVideo2_1_InfiniteTalk")),
        value="lipsync-one",
    ),
    rule(
        "output named like several persons",
        when=sql(output_begins("multitalk_multiple_video|lipsync_multiple")),
        value="lipsync-multi",
    ),
    rule(
        "output named like video lipsync",
        when=sql(output_begins("lipsyncv2v")),
        value="video-lipsync",
    ),
    rule(
        "output named like image to video",
        when=sql(output_begins("wani2v|WanI2V")),
        value="wan-i2v",
    ),
    rule("output named like img2img", when=sql(output_begins("img2img_")), value="img2img"),
    rule("audio stands for masks", when=MASKS, value="lipsync-multi"),
    rule(
        "audio lists several files",
        when=sql(f"{AUDIO} ~ '{LIST_OF_FILES}'"),
        value="lipsync-multi",
    ),
    rule("input is a video", when=sql(f"{IMAGE} ~* '{VIDEO_ENDING}'"), value="video-lipsync"),
    rule(
        "512x512 picture without sound",
        when=sql(f"{SMALL_AND_SILENT} AND {FILE} ~* '[.]png$'"),
        value="img2img",
    ),
    rule(
        "512x512 without sound or output",
        when=sql(f"{SMALL_AND_SILENT} AND coalesce(filename, '') = ''"),
        value="img2img",
    ),
    fallback=("lipsync-one", "nothing else fits"),
)

STALE = given_up("multitalk_jobs", "timestamp_submitted", "submitted", "processing")

STATUS = status(
    {
        "submitted": "pending",
        "processing": "processing",
        "completed": "completed",
        "error": "failed",
    },
    STALE,
    failed="error",
)

ERROR_MESSAGE = error_message("error_message", STALE)

USER = owner("multitalk_jobs")

NAIVE_TZ = param("fix_naive_tz", help="the zone of clocks that wrote local time as UTC, such as America/Sao_Paulo")


def written_by(clock: str) -> str:
    """Give the moment a clock meant that showed local time and said UTC."""
    return f"(({clock} AT TIME ZONE 'UTC') AT TIME ZONE {{zone}}::text)"


def naive(clock: str, witness: str) -> Sql:
    """Hold where the server's own time is within two minutes of what such a clock meant; never without a zone."""
    apart = f"abs(extract(epoch FROM {witness}) - extract(epoch FROM {written_by(clock)}))"
    # A constant, so that a zone nobody knows is a fault of the definition and not of every row.
    known = written_by("'epoch'::timestamptz") + " IS NOT NULL"
    return sql(f"{known} AND {clock} <> {written_by(clock)} AND {apart} <= 120", zone=NAIVE_TZ)


def corrected(clock: str, wrong: Sql) -> Sql:
    """Give the moment that was meant."""
    return sql(f"CASE WHEN {{wrong}} THEN {written_by(clock)} ELSE {clock} END", wrong=wrong, zone=NAIVE_TZ)


CORRECTED = "local time written as UTC, corrected by fix_naive_tz"

# The server's own clock wrote created_at and, with the end of the work, updated_at.
SUBMITTED_NAIVE = naive("timestamp_submitted", "created_at")
SUBMITTED_AT = corrected("timestamp_submitted", SUBMITTED_NAIVE)
COMPLETED_NAIVE = naive("timestamp_completed", "updated_at")
COMPLETED_AT = corrected("timestamp_completed", COMPLETED_NAIVE)

# Numbers, not times, are subtracted: the difference of two times can be out of range, an error.
SECONDS = sql(
    "extract(epoch FROM {completed}) - extract(epoch FROM {submitted})",
    completed=COMPLETED_AT,
    submitted=SUBMITTED_AT,
)

PROCESSING_TIME = discarded(
    sql("round({seconds})", seconds=SECONDS),
    when=sql("{seconds} NOT BETWEEN 0 AND 86400", seconds=SECONDS),
    reason="negative or over a day: the two times come from different clocks",
)

VIDEO_URL = column("video_url", absent="the page's first table definition has no video_url")

OUTPUT_URLS = told_of_signed(array(stored(VIDEO_URL)), VIDEO_URL)

# The two may differ by the time of a request, not by hours.
SUBMITTED = flagged(
    flagged(SUBMITTED_AT, when=SUBMITTED_NAIVE, reason=CORRECTED),
    when=sql(
        "abs(extract(epoch FROM created_at) - extract(epoch FROM {submitted})) > 1800",
        submitted=SUBMITTED_AT,
    ),
    reason="half an hour or more off the server's clock",
)

COMPLETED = flagged(COMPLETED_AT, when=COMPLETED_NAIVE, reason=CORRECTED)

LEFT_BEHIND = {"created_at": "the new row's created_at is the time of submission"}
