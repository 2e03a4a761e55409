"""H110: statements of a revision that lock a table in use, rewrite it or take something away, as squawk sees them.

squawk is a program with PostgreSQL's own grammar; it comes with the extra `lint`. Without it nothing is said here: the
locks of each revision stand in the plan all the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from migrator.model.step import Hazard

SECONDS: Final = 30
# What blocks or loses something; style, and timeouts that our own transactions set, are left out.
RULES: Final = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-required-field",
        "adding-serial-primary-key-field",
        "ban-alter-domain-with-add-constraint",
        "ban-drop-column",
        "ban-drop-database",
        "ban-drop-not-null",
        "ban-drop-table",
        "ban-truncate-cascade",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "renaming-column",
        "renaming-table",
        "require-concurrent-index-creation",
        "require-concurrent-index-deletion",
    }
)


def find(revisions: Mapping[str, str], major: int) -> list[Hazard]:
    """Read the SQL of revisions, by name, for a server of that major version."""
    program = _squawk()
    if program is None:
        return []
    return [hazard for name, sql in revisions.items() for hazard in _of_one(program, name, sql, major)]


def _squawk() -> str | None:
    """Find the program beside this Python first: a venv's scripts are not always on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "squawk"
    return str(beside) if beside.is_file() else shutil.which("squawk")


def _of_one(program: str, name: str, sql: str, major: int) -> list[Hazard]:
    command = [program, "--reporter", "json", "--assume-in-transaction", "--pg-version", str(major)]
    try:
        done = subprocess.run(  # noqa: S603 -- a program of our own extra, given its text on stdin
            [*command, "--stdin-filepath", f"{name}.sql"],
            input=sql,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, json.JSONDecodeError):
        return [Hazard(id="H111", what=f"{name} could not be read for dangerous statements", cure="run squawk on it")]
    lines = sql.splitlines()
    return [
        Hazard(
            id="H110",
            what=f"{name}: {_statement(lines, one['line'])}: {one['message']} ({one['rule_name']})",
            cure=one["help"] or "take a safer way in steps: expand, backfill, contract",
        )
        for one in found
        if one["rule_name"] in RULES
    ]


def _statement(lines: list[str], number: int) -> str:
    return lines[number].strip() if 0 <= number < len(lines) else "a statement"
