"""The photo library's database before `phase_2_jobs`: images, and the jobs that nothing ran.

`build_legacy` makes the tables of Phase 1 with their dirty rows, as Prisma makes them or as the hand-written SQL file
did. `build_new_application_rows` adds, once expand has made the new columns, what the application of Phase 2 did.
`planted` says how many rows of every kind that makes, `fates` what must become of each.
"""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from migrator.demo.phase_2_jobs.fates import fates
from migrator.demo.phase_2_jobs.planted import (
    MIX,
    MOVED_FILES,
    NO_FILES,
    Planted,
    planted,
    positions,
)
from migrator.demo.scripts import run_script

if TYPE_CHECKING:
    from migrator.database.connect import Connection

__all__ = [
    "LEGACY_COLUMNS",
    "MIX",
    "Origin",
    "Planted",
    "build_legacy",
    "build_new_application_rows",
    "digest",
    "fates",
    "image_id",
    "planted",
    "write_files",
]

Origin = Literal["push", "file"]

# What stands in the tables of Phase 1. The rows of the application aside, none of it ever changes but by its own hand.
LEGACY_COLUMNS: Final = {
    "Image": [
        "id",
        "status",
        "title",
        "tempPath",
        "checksum",
        "mimeType",
        "width",
        "height",
        "sizeBytes",
        "createdAt",
        "updatedAt",
    ],
    "Job": ["id", "type", "payload", "status", "createdAt", "updatedAt"],
    "Collection": ["id", "name", "createdAt", "updatedAt"],
}


# What the application of Phase 2 changes in rows of Phase 1, and how its own rows are told from these.
CHANGING: Final = ("status", "tempPath", "updatedAt")
OF_PHASE_1: Final = {
    "Image": "title IS NULL OR title NOT LIKE 'upload %'",
    "Job": "type = 'OFFLOAD_ORIGINAL' AND payload NOT LIKE '%.png%'",
}


def build_legacy(
    connection: Connection, *, origin: Origin = "push", seed: int = 1, scale: int = 1, images: int | None = None
) -> None:
    """Make the tables of Phase 1 with `scale` repeats of the mix of 250 images, or exactly so many `images`."""
    values = {"seed": seed, "images": MIX * scale if images is None else images}
    with connection.transaction():
        run_script(connection, __name__, f"legacy_by_{origin}.sql")
        run_script(connection, __name__, "positions.sql", values)
        run_script(connection, __name__, "legacy_rows.sql")
        run_script(connection, __name__, f"joined_by_{origin}.sql")


def build_new_application_rows(connection: Connection, *, seed: int = 1) -> None:
    """Let the application of Phase 2 work for a while, on what `build_legacy` with the same seed made."""
    with connection.transaction():
        found = connection.execute(b'SELECT count(*) FROM "Image"').fetchone()
        assert found is not None
        run_script(connection, __name__, "positions.sql", {"seed": seed, "images": int(found[0])})
        run_script(connection, __name__, "application_rows.sql")


def write_files(directory: Path, *, seed: int = 1, scale: int = 1, images: int | None = None) -> dict[str, str]:
    """Write what a look at the disks found, and give the parameters that name these files.

    `missing_files` lists the images whose file is nowhere, `moved_files` where a crashed job left it.
    """
    nowhere = positions(NO_FILES, scale=scale, images=images)
    elsewhere = positions(MOVED_FILES, scale=scale, images=images)
    gone = [f"{image_id(at, seed=seed)},/tmp/ingest" for at in nowhere]
    moved = [f"{image_id(at, seed=seed)},{_original(at, seed)}" for at in elsewhere]
    written = {"missing_files": ["image_id,looked_in", *gone], "moved_files": ["image_id,path", *moved]}
    for name, lines in written.items():
        (directory / f"{name}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return {name: str(directory / f"{name}.csv") for name in written}


def image_id(position: int, *, seed: int = 1) -> str:
    """Return the id of the image with this number, counted from 0: a UUID where it is even, else a cuid."""
    digits = _md5(f"{seed}:{position}")
    if position % 2:
        return f"c{digits[:24]}"
    return str(uuid.UUID(f"{digits[:12]}4{digits[13:16]}8{digits[17:]}"))


def digest(connection: Connection, *, lasting: bool = False) -> str:
    """Return one digest of what stood in the tables of Phase 1; only of what no application changes if `lasting`."""
    sums = []
    with connection.transaction():
        for table, names in LEGACY_COLUMNS.items():
            left = [f'"{name}"' for name in names if not (lasting and name in CHANGING)]
            row = (
                f"hashtextextended(concat_ws('|', {', '.join(f'coalesce({name}::text, chr(1))' for name in left)}), 0)"
            )
            only = OF_PHASE_1.get(table, "true") if lasting else "true"
            query = f'SELECT count(*), sum({row}) FROM public."{table}" WHERE {only}'
            sums.append((table, *map(str, connection.execute(query.encode()).fetchone() or ())))
    return hashlib.sha256(repr(sums).encode()).hexdigest()


def _original(position: int, seed: int) -> str:
    name = image_id(position, seed=seed)
    ending = ".bin" if position % 50 == 11 else ".jpg"  # noqa: PLR2004 -- as positions.sql does
    return f"/tmp/storage/originals/{_md5(f'a{name}')}{_md5(f'b{name}')}{ending}"  # noqa: S108 -- a name, not a file


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
