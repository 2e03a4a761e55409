"""The photo restoration's database before `jobs_and_attempts`: one table, and what had got into it.

`build_legacy` makes the old table with its dirty rows, `media` gives the objects that they name.
`build_new_application_rows` adds what the new application writes into the new tables while both are in use. `fates`
says what must become of every row.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.resources import files
from typing import TYPE_CHECKING

from migrator.demo import scripts
from migrator.demo.jobs_and_attempts.fates import Fate, fates
from migrator.demo.jobs_and_attempts.ids import job_id, picture_id
from migrator.demo.jobs_and_attempts.media import PlantedMedia, media, planted_media
from migrator.demo.jobs_and_attempts.mix import BUCKET, LIVE, MIX, SUBJECTS
from migrator.demo.jobs_and_attempts.planted import PLANTED_NEW, Planted, planted, row_count

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.database.connect import Connection

__all__ = [
    "BUCKET",
    "LEGACY_TABLES",
    "PLANTED_NEW",
    "Fate",
    "Planted",
    "PlantedMedia",
    "build_legacy",
    "build_new_application_rows",
    "digest",
    "fates",
    "identity_map",
    "job_id",
    "media",
    "picture_id",
    "planted",
    "planted_media",
]

LEGACY_TABLES = ("restoration_jobs",)


def build_legacy(
    connection: Connection,
    *,
    seed: int = 1,
    scale: int = 1,
    rows: int | None = None,
    upper: bool = True,
    bucket: str = BUCKET,
) -> None:
    """Make the old table with `scale` repeats of the mix, or exactly so many rows.

    `upper` spells the words of its status as the ORM made them. Without it they are as the only revision of the old
    application made them, which left its version table behind. `bucket` is what the URLs that name one say.
    """
    words = ("pending", "processing", "completed", "failed")
    labels = ", ".join(f"'{one.upper() if upper else one}'" for one in words)
    values: dict[str, object] = {
        "seed": seed,
        "rows": row_count(scale=scale, rows=rows),
        "kinds": len(MIX),
        "upper": upper,
    }
    values |= {"old": BUCKET, "bucket": bucket}
    with connection.transaction():
        connection.execute(f"CREATE TYPE public.jobstatus AS ENUM ({labels})".encode())
        if not upper:
            connection.execute(b"CREATE TABLE public.alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
            connection.execute(b"INSERT INTO public.alembic_version VALUES ('001')")
        scripts.run_script(connection, __name__, "legacy.sql")
        scripts.run_script(connection, __name__, "mix.sql")
        _fill_mix(connection)
        scripts.run_script(connection, __name__, "legacy_rows.sql", values)


def build_new_application_rows(connection: Connection, *, seed: int = 1) -> None:
    """Add the new application's rows to the tables that expand has made."""
    values = {
        "seed": seed,
        "live": job_id(live_position(), seed=seed),
        "address": SUBJECTS[MIX[live_position()].subject],
    }
    with connection.transaction():
        scripts.run_script(connection, __name__, "new_application_rows.sql", values)


def live_position() -> int:
    """Return the position of the row that somebody copied by hand."""
    return next(place for place, one in enumerate(MIX) if one.number == LIVE)


def identity_map() -> Path:
    """Return the file that names the users: subjects and e-mail addresses."""
    return files(__name__) / "identity_map.csv"  # type: ignore[return-value]


def digest(connection: Connection, *tables: str) -> str:
    """Return one digest of all rows of the tables (the old one unless others are named)."""
    return scripts.digest(connection, *(tables or LEGACY_TABLES))


def _fill_mix(connection: Connection) -> None:
    query = b"INSERT INTO legacy_mix SELECT * FROM jsonb_populate_recordset(null::legacy_mix, %s)"
    connection.execute(query, [json.dumps([{"position": place, **asdict(one)} for place, one in enumerate(MIX)])])
