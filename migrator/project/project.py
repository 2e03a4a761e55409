"""Project: one directory with `migrator.toml`, `revisions/` and `backfills/`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import migrator
from migrator.model.change import Change
from migrator.model.commands import command
from migrator.model.errors import ConfigurationError, UsageError
from migrator.model.objects import Storage
from migrator.project.faults import did_you_mean, key

if TYPE_CHECKING:
    from migrator.project.config import Config, Database

FILE: Final = "migrator.toml"


class DatabaseUrl(NamedTuple):
    """Where a database is; `direct_url` goes past a pooler, `scratch_url` to a scratch server."""

    name: str
    url: str
    search_path: str = "public"
    direct_url: str | None = None
    scratch_url: str | None = None

    def __repr__(self) -> str:
        """Show the name alone: URLs hold passwords."""
        return f"DatabaseUrl({self.name!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One directory with its contents page, and what it says about changes and databases."""

    root: Path
    config: Config
    revisions: Path
    backfills: Path

    @classmethod
    def find(cls, path: str | Path | None = None) -> Project:
        """Open the project of `--config`, else of MIGRATOR_CONFIG, else of the directory we are in.

        Raises ConfigurationError: M101 where there is none, M102 where its file has faults.
        """
        named = path or os.environ.get("MIGRATOR_CONFIG")
        # An unknown ~name stays as it is, and is no project.
        return cls.open(Path(os.path.expanduser(named)) if named else _nearest(Path.cwd()))  # noqa: PTH111

    @classmethod
    def open(cls, path: Path) -> Project:
        """Open a project by its file or its directory."""
        from migrator.project import config  # noqa: PLC0415 -- pydantic, only where a project is read

        file = (path / FILE if path.is_dir() else path).absolute()
        return cls(
            root=file.parent,
            config=config.load(file),
            revisions=file.parent / "revisions",
            backfills=file.parent / "backfills",
        )

    @classmethod
    def documented(cls) -> Project:
        """Open the project that comes with the tool: in the wheel, or beside an editable one."""
        package = Path(migrator.__file__).parent
        for root in (package / "documented", package.parent):
            if (root / FILE).is_file() and (root / "backfills").is_dir():
                return cls.open(root)
        what = "The documented changes did not come with this installation."
        raise ConfigurationError("M101", what, "Install the tool from its wheel again.")

    def names(self) -> tuple[str, ...]:
        """Name the changes in the order of the file."""
        return tuple(self.config.change)

    def change(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        flags: Mapping[str, Any] | None = None,
    ) -> Change:
        """Load a change: its definitions, its parameters, its settings.

        `params` are `--param` overrides, `flags` settings of the command line; None is not given.
        Raises UsageError (M103) for an unknown name, ConfigurationError (M102, M105, M106).
        """
        from migrator.project import archiving, arguments, definitions, settings  # noqa: PLC0415 -- as above

        self._known(name)
        table = self.config.change[name]
        chosen = settings.resolve(self.config, name, flags or {})
        backfills = definitions.load(self.backfills, table.backfills, change=name)
        declared = arguments.declare(backfills, table.revision_params, change=name)
        given = arguments.resolve(declared, table.params, params or {}, root=self.root, change=name)
        wanted = tuple(one for one in backfills if arguments.wants(one, given))
        return Change(
            name=name,
            title=table.title,
            guide=table.guide,
            database=table.database,
            foreign=table.foreign,
            backfills=wanted,
            left_out=tuple(one for one in backfills if one not in wanted),
            checks=table.checks,
            index_checks=table.index_checks,
            settings=chosen,
            arguments=given,
            archive=archiving.resolve(name, table.archive, backfills),
            consumers=dict(table.consumers),
        )

    def parameters(self, name: str) -> frozenset[str]:
        """Name the parameters of a change. Raises what loading a definition raises."""
        from migrator.project import arguments, definitions  # noqa: PLC0415 -- as above

        self._known(name)
        table = self.config.change[name]
        backfills = definitions.load(self.backfills, table.backfills, change=name)
        return frozenset(arguments.declare(backfills, table.revision_params, change=name))

    def sources_beside(self, change: Change) -> dict[str, tuple[str, ...]]:
        """Name the sources of every other change of the same database. Raises what loading a definition raises."""
        from migrator.project import definitions  # noqa: PLC0415 -- as above

        found = {}
        for name, table in self.config.change.items():
            if name != change.name and table.database == change.database:
                loaded = definitions.load(self.backfills, table.backfills, change=name)
                found[name] = tuple(dict.fromkeys(one.source for one in loaded))
        return found

    def database_url(self, change: Change | str | None = None, flag: str | None = None) -> DatabaseUrl:
        """Say where the database of a change is, or the default one.

        A flag replaces the URL of whatever database, DATABASE_URL only that of `default`; both also
        leave out the file's direct_url, which may lead to another database.
        Raises UsageError (M104) where no URL is known.
        """
        from migrator.project.config import Database  # noqa: PLC0415 -- as above

        name = self._database_of(change)
        table = self.config.database.get(name, Database())
        url, direct = _urls(name, table, flag)
        if not url:
            raise _no_url(name, table)
        return DatabaseUrl(
            name=name,
            url=url,
            search_path=table.search_path,
            direct_url=direct,
            scratch_url=table.scratch_url,
        )

    def storage(self) -> Storage:
        """Say where objects are, by `[s3]`. Raises ConfigurationError M251 where no bucket is named."""
        table = self.config.s3
        if table.bucket is None:
            what = f"There is no bucket for objects: [s3] in {FILE} names none."
            raise ConfigurationError("M251", what, 'Write bucket = "the-bucket" under [s3].')
        return Storage(endpoint=table.endpoint, region=table.region, bucket=table.bucket, cdn_domain=table.cdn_domain)

    def _database_of(self, change: Change | str | None) -> str:
        if change is None:
            return "default"
        if isinstance(change, Change):
            return change.database
        self._known(change)
        return self.config.change[change].database

    def _known(self, change: str) -> None:
        if change in self.config.change:
            return
        names = self.names()
        close = did_you_mean(change, names)
        known = f"The changes are: {', '.join(names)}." if names else "There are none yet."
        cure = close if close.startswith("Did") else f"List them with: {command('status')}"
        raise UsageError("M103", f"No change is called {change!r}. {known}", cure)


def _nearest(start: Path) -> Path:
    for directory in (start, *start.parents):
        if (directory / FILE).is_file():
            return directory / FILE
    raise ConfigurationError(
        "M101",
        f"There is no {FILE} in {start} or any directory above it.",
        "Name one with --config or MIGRATOR_CONFIG, or write one: docs/definitions.md shows how.",
    )


def _urls(name: str, table: Database, flag: str | None) -> tuple[str | None, str | None]:
    """Choose the URL and the direct URL that belongs to it."""
    direct = os.environ.get(table.direct_url_env) if table.direct_url_env else None
    if flag:
        return flag, None
    if name == "default" and (url := os.environ.get("DATABASE_URL")):
        return url, direct
    url = os.environ.get(table.url_env) if table.url_env else table.url
    return url, direct or table.direct_url


def _no_url(name: str, table: Database) -> UsageError:
    place = f"[{key('database', name)}] in {FILE}"
    if table.url_env:
        what = f"No URL for database {name}: the variable {table.url_env} is not set."
        return UsageError("M104", what, f"Set {table.url_env}, or give --database-url.")
    ways = ["Set DATABASE_URL"] if name == "default" else []
    ways += [f"write url_env under {place}", "give --database-url"]
    cure = ", or ".join(ways)
    return UsageError("M104", f"No URL for database {name}.", f"{cure[0].upper()}{cure[1:]}.")
