"""Evidence that a database is as it was: its schema as pg_dump writes it, and its rows digested."""

from __future__ import annotations

import difflib
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.model.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.cli.demo.story import Story
    from migrator.database.connect import Database

_NOISE = re.compile(r"^(?:--.*|\\(?:un)?restrict .*|SET .*|SELECT pg_catalog\.set_config.*|)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a database is like, outside the schema of the ledger."""

    schema: tuple[str, ...]
    rows: str

    def difference(self, other: Evidence) -> str:
        """Name the first difference; empty where there is none."""
        lines = difflib.unified_diff(self.schema, other.schema, lineterm="", n=0)
        for line in lines:
            if line[:1] in "+-" and line[:3] not in {"+++", "---"}:
                return f"the schema differs: {line}"
        return "" if self.rows == other.rows else "the rows differ"


def gather(story: Story, database: Database, pg_dump: Path) -> Evidence:
    """Look at the whole schema and at every row of the old tables."""
    with database.connect() as connection:
        digest = story.digest(connection)
    return Evidence(schema=_schema(database.url, pg_dump), rows=digest)


def _schema(url: str, pg_dump: Path) -> tuple[str, ...]:
    command = [str(pg_dump), "--schema-only", "--exclude-schema=migrator", f"--dbname={url}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own
    if done.returncode != 0:
        raise ServerError("M902", f"pg_dump failed: {done.stderr.strip()}", "Run the demo again.")
    return tuple(line for line in done.stdout.splitlines() if not _NOISE.match(line))
