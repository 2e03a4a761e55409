"""The desk: one change with its project and its database, as a verb was asked to work on them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from migrator.database.connect import Database
from migrator.database.locks import reading_explained
from migrator.model.change import Change
from migrator.model.errors import UsageError
from migrator.model.names import Relation
from migrator.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A change ready to be worked on."""

    project: Project
    change: Change
    database: Database
    scratch_url: str | None = None

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The sources and targets, as far as their names tell."""
        first = self.database.search_path.split(",")[0].strip().strip('"')
        names = (*self.change.sources, *self.change.targets)
        return tuple(Relation.parse(one, default_schema=first) for one in names)

    def explained(self, doing: str) -> AbstractContextManager[None]:
        """Turn errors of the database into ours, naming who keeps us from reading the tables of the change."""
        return reading_explained(doing, self.database.connect, self.relations)

    @property
    def revision_parameters(self) -> Mapping[str, Any]:
        """The scalar parameters, which revisions read."""
        return {name: value for name, value in self.change.arguments.scalars.items() if value is not None}


def open_desk(
    change: str | None = None,
    *,
    config: str | None = None,
    url: str | None = None,
    params: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Desk:
    """Open the project, load the change, find its database. Nothing is connected yet.

    Without a name, the only change there is. Raises UsageError M103 for an unknown name or none among several, and
    what loading the project raises.
    """
    project = Project.find(config)
    loaded = project.change(change or _only(project), params, flags)
    where = project.database_url(loaded, url)
    return Desk(
        project=project,
        change=loaded,
        database=database_of(where.url, where.name, where.search_path, where.direct_url),
        scratch_url=where.scratch_url,
    )


def database_of(url: str, name: str, search_path: str, direct_url: str | None) -> Database:
    """Make the Database of what a project says about one."""
    return Database(url=url, name=name, search_path=search_path, direct_url=direct_url)


def _only(project: Project) -> str:
    names = project.names()
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError("M103", "The project has no change.", "Add a [change.<name>] to migrator.toml.")
    raise UsageError("M103", f"Which change? There are {len(names)}: {', '.join(names)}.", "Name one of them.")
