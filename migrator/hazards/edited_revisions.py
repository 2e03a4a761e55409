"""H130: a revision whose file was edited after it was applied: the database has what it said before."""

from __future__ import annotations

from collections.abc import Iterable

from migrator.model.step import Hazard


def find(edited: Iterable[str]) -> list[Hazard]:
    """Warn of these revisions, by id: their downgrade need not fit what was made."""
    return [
        Hazard(
            id="H130",
            what=f"revision {one} was edited after it was applied; the database has what it said before",
            cure="put the file back as it was, and write what is to change as a revision of its own",
        )
        for one in edited
    ]
