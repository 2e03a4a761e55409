"""The studio's database before `output_type_tables`: one table per page, and what had got into it.

`build_legacy` makes the old tables with their dirty rows. `build_new_application_rows` adds, once
the new tables are there, what the new application writes into them while both are in use.
`planted` and its siblings say how many rows of every kind that makes.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING

from migrator.demo import scripts
from migrator.demo.output_type_tables.fates import Fate, fates
from migrator.demo.output_type_tables.mix import MIX, stored_name
from migrator.demo.output_type_tables.planted import (
    Planted,
    PlantedImages,
    PlantedNew,
    Target,
    planted,
    planted_new,
    row_count,
    shared_positions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from migrator.database.connect import Connection

__all__ = [
    "LEGACY_TABLES",
    "Fate",
    "Planted",
    "PlantedImages",
    "PlantedNew",
    "Target",
    "build_legacy",
    "build_new_application_rows",
    "digest",
    "fates",
    "job_id",
    "planted",
    "planted_new",
]

LEGACY_TABLES = ("multitalk_jobs", "style_transfers", "edited_images", "datasets", "data")
SECOND = 1000
DAY = 86_400


def build_legacy(
    connection: Connection,
    *,
    seed: int = 1,
    scale: int = 1,
    rows: int | None = None,
    auth: bool = True,
) -> None:
    """Make the old tables with `scale` repeats of the mix, or exactly `rows` multitalk rows.

    `auth=False` leaves out the schema of the hosting service, as on a plain PostgreSQL.
    """
    values = {"seed": seed, "rows": row_count(scale=scale, rows=rows), "jobs": len(MIX)}
    with connection.transaction():
        if auth:
            _run(connection, "auth.sql")
        _run(connection, "legacy.sql")
        _run(connection, "mix.sql")
        _fill_mix(connection)
        _run(connection, "legacy_rows.sql", values)
        _run(connection, "image_rows.sql", values)
        _run(connection, "legacy_indexes.sql")


def build_new_application_rows(connection: Connection, *, seed: int = 1, dual_written: bool = False) -> None:
    """Add the new application's rows to `video_jobs` and `image_jobs`, which expand has made.

    `dual_written=True` adds the twins of the last five `edited_images` too.
    """
    shared = shared_positions()
    values = {
        "seed": seed,
        "job_ids": [job_id(position, seed=seed) for position in shared],
        "workflows": [MIX[position].workflow for position in shared],
    }
    with connection.transaction():
        _run(connection, "new_application_rows.sql", values)
        if dual_written:
            _run(connection, "dual_written_rows.sql", values)


def job_id(position: int, *, seed: int = 1) -> str:
    """Return the `job_id` of the multitalk row with this number, counted from 0."""
    if MIX[position % len(MIX)].short_id:
        return str(1000 + position)
    digits = hashlib.md5(f"{seed}:{position}".encode(), usedforsecurity=False).hexdigest()
    return str(uuid.UUID(f"{digits[:12]}4{digits[13:16]}8{digits[17:]}"))


def digest(connection: Connection, *tables: str) -> str:
    """Return one digest of all rows of the tables (the old ones unless others are named)."""
    return scripts.digest(connection, *(tables or LEGACY_TABLES))


def _fill_mix(connection: Connection) -> None:
    query = b"INSERT INTO legacy_mix SELECT * FROM jsonb_populate_recordset(null::legacy_mix, %s)"
    connection.execute(query, [json.dumps(list(_mix_rows()))])


def _mix_rows() -> Iterator[dict[str, object]]:
    for position, job in enumerate(MIX):
        width, height = job.size or (0, 0)
        moment = (job.day or 0) * DAY + position * 7919 % DAY
        yield {
            "position": position,
            "status": job.status,
            "filename": job.filename,
            "subfolder": job.subfolder,
            "image_filename": job.image_filename,
            "audio_filename": job.audio_filename,
            "width": width,
            "height": height,
            "trim_to_audio": job.trim_to_audio,
            "comfy_url": job.comfy_url,
            "error_message": job.error_message,
            "stored_name": stored_name(job),
            "submitted_ms": moment * SECOND,
            "duration_ms": job.duration_ms,
            "submitted_skew": job.submitted_skew,
            "completed_skew": job.completed_skew,
            "short_id": job.short_id,
        }


def _run(connection: Connection, name: str, values: Mapping[str, object] | None = None) -> None:
    scripts.run_script(connection, __name__, name, values)
