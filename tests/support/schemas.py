"""The schema of a database as pg_dump writes it, for comparison."""

from __future__ import annotations

import subprocess

import psycopg

from migrator.servers import find_dump


def schema(url: str) -> str:
    """Return the schema as SQL, without the version table and what differs from dump to dump."""
    with psycopg.connect(url) as conn:
        major = conn.info.server_version // 10_000
    dumped = subprocess.run(
        [find_dump(major), "--schema-only", "--exclude-schema=migrator", url],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = dumped.stdout.splitlines()
    return "\n".join(line for line in lines if not line.startswith((r"\restrict", r"\unrestrict")))
