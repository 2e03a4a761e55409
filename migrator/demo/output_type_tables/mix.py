"""The 262 kinds of multitalk row that every repeat of the legacy table consists of.

A `Job` says in plain values what one row looks like; the SQL beside this file only adds what
differs from repeat to repeat. So everything that is true of the rows can be counted here, without
asking a database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIPSYNC_ONE = "lipsync-one"
LIPSYNC_MULTI = "lipsync-multi"
VIDEO_LIPSYNC = "video-lipsync"
WAN_I2V = "wan-i2v"
IMG2IMG = "img2img"
WORKFLOWS = (LIPSYNC_ONE, LIPSYNC_MULTI, VIDEO_LIPSYNC, WAN_I2V, IMG2IMG)

MASKS = "multiple_masks_audio"
INFINITE_TALK = "wanvideo2_1_infinitetalk"
#: Lower-case beginnings of an output file name, and the workflow that writes such names.
PREFIXES = {
    "lipsync1person": LIPSYNC_ONE,
    INFINITE_TALK: LIPSYNC_ONE,
    "multitalk_multiple_video": LIPSYNC_MULTI,
    "lipsync_multiple": LIPSYNC_MULTI,
    "lipsyncv2v": VIDEO_LIPSYNC,
    "wani2v": WAN_I2V,
    "img2img_": IMG2IMG,
}
VIDEO_ENDINGS = (".mp4", ".mov", ".webm")

HOUR = 3_600_000
DAY = 24 * HOUR
SIZES = ((640, 640), (480, 832), (832, 480), (1280, 720), (576, 1024))
SQUARE = (512, 512)
COMFY_URLS = (
    *("https://comfy.vapai.studio",) * 5,
    "https://comfy.vapai.studio/",
    "http://localhost:8188",
    "http://127.0.0.1:8188/",
    "http://192.168.1.40:8188",
)
# Percent signs, colons, quotes, line ends and accents: whatever a driver may take for its own.
ERRORS = (
    "Upload failed: 413 for :file_name",
    "Prompt outputs failed validation\n* LoadAudio 12: 'voz ñ.mp3' is no audio file",
    "Rendering stopped at 100% of step 3/4",
    'CUDA out of memory, see "KSampler" (%s)',
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One row of the mix; `#` in a name stands for a token that differs in every repeat."""

    workflow: str
    filename: str | None
    image_filename: str | None
    audio_filename: str | None = None
    status: str = "completed"
    subfolder: str | None = "plataforma"
    size: tuple[int, int] | None = None
    trim_to_audio: bool = False
    comfy_url: str = ""
    error_message: str | None = None
    #: Whether the output was uploaded: its URL, NULL, or an empty string.
    video: str | None = "signed"
    #: Days after the first row of the table.
    day: int | None = None
    duration_ms: int | None = None
    #: Whole hours by which the clock of either side was wrong.
    submitted_skew: int = 0
    completed_skew: int = 0
    short_id: bool = False
    #: Whether the new application has a row for this job too.
    shared: bool = False

    @property
    def output_name(self) -> str | None:
        """The file name in lower case, without a directory written the Windows way."""
        return None if self.filename is None else self.filename.rpartition("\\")[2].lower()

    @property
    def skewed(self) -> bool:
        """Whether a clock was wrong."""
        return bool(self.submitted_skew or self.completed_skew)

    @property
    def seen_duration_ms(self) -> int | None:
        """What the two timestamps say the job took."""
        if self.duration_ms is None:
            return None
        return self.duration_ms + (self.completed_skew - self.submitted_skew) * HOUR

    @property
    def implausible(self) -> bool:
        """Whether the seen duration is below zero or above a day."""
        return self.seen_duration_ms is not None and not 0 <= self.seen_duration_ms <= DAY

    @property
    def recovered(self) -> tuple[str, str]:
        """The workflow that can be told from the row, and the first rule that tells it."""
        by_prefix = [PREFIXES[p] for p in PREFIXES if (self.output_name or "").startswith(p)]
        if by_prefix:
            return by_prefix[0], "filename prefix"
        if self.audio_filename and (self.audio_filename == MASKS or "," in self.audio_filename):
            return LIPSYNC_MULTI, "audio of several persons"
        if (self.image_filename or "").lower().endswith(VIDEO_ENDINGS):
            return VIDEO_LIPSYNC, "input is a video"
        if self.size == SQUARE and not self.audio_filename and not self.trim_to_audio:
            return IMG2IMG, "512x512 without audio"
        return LIPSYNC_ONE, "fallback"

    @property
    def temporary(self) -> bool:
        """Whether ComfyUI keeps the output among its temporary files, as far as the row tells."""
        return self.recovered[0] == WAN_I2V or (self.output_name or "").startswith(INFINITE_TALK)


def _unfinished(job: Job, *statuses: str) -> list[Job]:
    """Leave out all that is written at the end: nobody ever saw one."""
    return [
        replace(job, status=status, filename=None, subfolder=None, video=None, duration_ms=None) for status in statuses
    ]


def _failed(job: Job, times: int) -> list[Job]:
    """Let ComfyUI finish, and lose the result on the way."""
    return [replace(job, status="error", video=None, error_message=ERRORS[i]) for i in range(times)]


def _half_seconds(job: Job, *seconds: float) -> list[Job]:
    return [replace(job, duration_ms=int(value * 1000)) for value in seconds]


def _windows(job: Job, times: int) -> list[Job]:
    """Write the name as on Linux, which takes the backslash of the prefix for a part of it."""
    return [replace(job, filename=f"plataforma\\{job.filename}", subfolder="")] * times


def _lipsync_one() -> list[Job]:
    job = Job(
        workflow=LIPSYNC_ONE,
        filename="lipsync1person_#_.mp4",
        image_filename="portrait_#.png",
        audio_filename="voice_#.mp3",
        trim_to_audio=True,
    )
    square = replace(job, size=SQUARE, trim_to_audio=False)
    return [
        *_unfinished(job, "processing", "submitted"),
        *_unfinished(square, "processing"),
        *_failed(job, 3),
        *(replace(failed, filename="") for failed in _failed(job, 1)),
        replace(job, video=None, day=14),
        *[replace(job, filename="WanVideo2_1_InfiniteTalk_#.mp4")] * 20,
        *_windows(job, 5),
        *[replace(job, short_id=True)] * 5,
        *[replace(job, audio_filename="")] * 2,
        *[replace(job, image_filename="")] * 2,
        *[replace(job, image_filename=None)] * 10,
        replace(job, audio_filename="Entrevista, parte 2 #.mp3"),
        replace(job, audio_filename="#, final.mp3"),
        *[square] * 2,
        *[replace(job, video="")] * 2,
        replace(job, day=20, duration_ms=300_000, completed_skew=-3),
        replace(job, day=21, submitted_skew=-3),
        *_half_seconds(job, 90.5, 91.5, 240.5, 241.5),
        replace(job, shared=True, day=80),
        *[job] * 25,
    ]


def _lipsync_multi() -> list[Job]:
    job = Job(
        workflow=LIPSYNC_MULTI,
        filename="lipsync_multiple_#_.mp4",
        image_filename="group_#.png",
        audio_filename=MASKS,
    )
    names = "juan_#.mp3, maria_#.mp3"
    first = replace(job, filename="multitalk_multiple_video_#_.mp4", audio_filename=names, day=1)
    third_day = replace(first, day=3)
    return [
        *_unfinished(first, "processing"),
        *_failed(first, 3),
        # video_url was added on the third day.
        *[replace(first, video=None)] * 3,
        *[third_day] * 3,
        *[replace(third_day, filename=job.filename)] * 2,
        replace(third_day, audio_filename="ana_#.mp3, luis_#.mp3, eva_#.mp3"),
        replace(third_day, audio_filename="juan_#.mp3,maria_#.mp3"),
        replace(third_day, audio_filename="juan_#.mp3, "),
        *_unfinished(job, "processing", "submitted"),
        *_windows(job, 2),
        *[replace(job, filename=first.filename)] * 6,
        replace(job, shared=True, day=79),
        *[job] * 14,
    ]


def _video_lipsync() -> list[Job]:
    job = Job(
        workflow=VIDEO_LIPSYNC,
        filename="lipsyncv2v_#_.mp4",
        image_filename="clip_#.mp4",
        audio_filename="voice_#.mp3",
        trim_to_audio=True,
    )
    phone = replace(job, image_filename="IMG_#.MOV")
    return [
        *_unfinished(job, "processing", "submitted"),
        *_unfinished(phone, "processing"),
        *_failed(job, 2),
        replace(job, day=22, duration_ms=420_000, completed_skew=-3),
        replace(job, day=23, submitted_skew=-3),
        *_half_seconds(job, 30.5, 31.5),
        *[phone] * 5,
        *[replace(job, image_filename="screen_#.webm")] * 3,
        *_windows(job, 2),
        *[job] * 31,
    ]


def _wan_i2v() -> list[Job]:
    job = Job(workflow=WAN_I2V, filename="wani2v_#_.mp4", image_filename="frame_#.png")
    return [
        *_unfinished(job, "processing"),
        *_unfinished(replace(job, image_filename=None), "processing"),
        replace(job, filename=None, subfolder=None, video=None),
        *_failed(job, 2),
        replace(job, duration_ms=26 * HOUR),
        replace(job, duration_ms=DAY),
        replace(job, day=24, submitted_skew=-3, completed_skew=-3),
        *_half_seconds(job, 600.5, 601.5),
        *[replace(job, image_filename=None)] * 15,
        replace(job, image_filename=""),
        *[replace(job, audio_filename="")] * 2,
        *[replace(job, size=SQUARE)] * 5,
        *[replace(job, short_id=True)] * 3,
        *[replace(job, filename="WanI2V_#_.mp4")] * 20,
        replace(job, shared=True, day=78),
        *[job] * 3,
    ]


def _img2img() -> list[Job]:
    job = Job(workflow=IMG2IMG, filename="img2img_#_.png", image_filename="photo_#.jpg", size=SQUARE)
    return [
        *_unfinished(job, "processing"),
        *_unfinished(replace(job, audio_filename=""), "submitted"),
        replace(job, filename=None, subfolder=None),
        *(replace(failed, filename="") for failed in _failed(job, 1)),
        replace(job, day=25, duration_ms=60_000, completed_skew=-3),
        *_half_seconds(job, 8.5, 9.5),
        replace(job, duration_ms=0),
        *_windows(job, 1),
        *[job] * 13,
    ]


def _filled_in(jobs: Iterable[Job]) -> Iterator[Job]:
    """Give every job the values that are of no consequence, in turn."""
    sizes, urls = cycle(SIZES), cycle(COMFY_URLS)
    for index, job in enumerate(jobs):
        finished = job.status in {"completed", "error"}
        chosen = 45_000 + 7_321 * index if job.duration_ms is None else job.duration_ms
        yield replace(
            job,
            size=job.size or next(sizes),
            comfy_url=next(urls),
            day=4 + index * 37 % 78 if job.day is None else job.day,
            duration_ms=chosen if finished else None,
        )


def _interleaved(jobs: list[Job]) -> tuple[Job, ...]:
    """Spread the classes, so that a part of a repeat has all of them too."""
    stride = 101  # coprime to the 262 jobs, so that every job is met once
    return tuple(jobs[index * stride % len(jobs)] for index in range(len(jobs)))


CLASSES = (_lipsync_one, _lipsync_multi, _video_lipsync, _wan_i2v, _img2img)
MIX = _interleaved(list(_filled_in(job for jobs_of in CLASSES for job in jobs_of())))


def stored_name(job: Job) -> str | None:
    """Return the name under which the output was uploaded: NULL, nothing, or a file name."""
    if job.video != "signed":
        return job.video
    return re.sub(r"^.*\\", "", job.filename or "output.mp4")
