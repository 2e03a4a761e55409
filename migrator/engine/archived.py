"""What an archive did, as its Step keeps it for the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from migrator.database.access import Access
from migrator.database.connect import Connection
from migrator.database.renames import Rename
from migrator.ledger import steps
from migrator.model.names import Relation
from migrator.model.step import Phase

STEP = "tables"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedTable:
    """One table: as the definitions call it, what it was called, what it is called now, and what went with it."""

    source: str
    before: Relation
    later: Relation
    renames: tuple[Rename, ...]

    def facts(self) -> dict[str, Any]:
        """Give what the Ledger keeps."""
        return {
            "source": self.source,
            "schema": self.before.schema,
            "name": self.before.name,
            "later": self.later.name,
            "renames": [one.facts() for one in self.renames],
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> ArchivedTable:
        """Read what the Ledger kept."""
        return cls(
            source=facts["source"],
            before=Relation(facts["schema"], facts["name"]),
            later=Relation(facts["schema"], facts["later"]),
            renames=tuple(Rename(**one) for one in facts["renames"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """An archive: its tables, who was let into them before, when it was made and until when it is kept."""

    tables: tuple[ArchivedTable, ...]
    access: Access
    at: datetime
    keep_until: datetime

    def facts(self) -> dict[str, Any]:
        """Give what the Ledger keeps."""
        return {
            "tables": [one.facts() for one in self.tables],
            "access": self.access.facts(),
            "at": self.at.isoformat(),
            "keep_until": self.keep_until.isoformat(),
        }

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Archived:
        """Read what the Ledger kept."""
        return cls(
            tables=tuple(ArchivedTable.of_facts(one) for one in facts["tables"]),
            access=Access.of_facts(facts["access"]),
            at=datetime.fromisoformat(facts["at"]),
            keep_until=datetime.fromisoformat(facts["keep_until"]),
        )

    @property
    def names(self) -> str:
        """Say what is called how now."""
        return ", ".join(f"{one.before} is now {one.later}" for one in self.tables)

    @property
    def later(self) -> Sequence[Relation]:
        """The tables by their names of now."""
        return [one.later for one in self.tables]

    @property
    def before(self) -> Sequence[Relation]:
        """The tables by their names of before."""
        return [one.before for one in self.tables]


def find(conn: Connection, change: str) -> Archived | None:
    """Find the archive of a change in the Ledger; None where there is none, or one was only begun."""
    step = steps.one_of(conn, change, Phase.ARCHIVE, STEP)
    return None if step is None or step.status != "done" else Archived.of_facts(step.undo)
