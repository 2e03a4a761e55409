"""What both backfills of multitalk_jobs know: the workflow of a row, and what its words mean.

The old table never recorded the workflow. The name of the output file is the best witness: ComfyUI
writes it with the prefix of the page that asked for it. Without a file, the inputs decide.
"""

from migrator.model import (
    File,
    array,
    column,
    contains,
    discarded,
    flagged,
    lookup,
    missing,
    param,
    rule,
    rules,
    sql,
)

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

STATUS = lookup(
    "status",
    {
        "submitted": "pending",
        "processing": "processing",
        "completed": "completed",
        "error": "failed",
    },
)

USER = missing(
    "multitalk_jobs never recorded a user",
    unless=param("user_map", File, help="job_id and the id of the user who owns the job"),
)

# Numbers, not times, are subtracted: the difference of two times can be out of range, an error.
SECONDS = "extract(epoch FROM timestamp_completed) - extract(epoch FROM timestamp_submitted)"

PROCESSING_TIME = discarded(
    sql(f"round({SECONDS})"),
    when=sql(f"({SECONDS}) NOT BETWEEN 0 AND 86400"),
    reason="negative or over a day: the two times come from different clocks",
)

VIDEO_URL = column("video_url", absent="the page's first table definition has no video_url")

OUTPUT_URLS = flagged(
    array(VIDEO_URL),
    when=contains(VIDEO_URL, "/object/sign/"),
    reason="a signed URL, which stopped working seven days after it was made",
)

# The server's own clock wrote created_at; the two may differ by the time of a request, not by hours.
SUBMITTED = flagged(
    "timestamp_submitted",
    when=sql("abs(extract(epoch FROM created_at) - extract(epoch FROM timestamp_submitted)) > 1800"),
    reason="half an hour or more off the server's clock",
)

LEFT_BEHIND = {"created_at": "the new row's created_at is the time of submission"}
