"""What the demo needs to know of a change; one Story for each that it can show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from migrator.database.connect import Connection
    from migrator.demo.buckets import Media


class Planted(NamedTuple):
    """One kind of row that got into the old tables: how many, what they are, what must become of them."""

    rows: int
    what: str
    becomes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The bucket beside a legacy database, with what the rows of so many name.

    `params` ask for the objects to be moved as well; then so many rows come to each disposition as `after` says.
    `keys` is a query of the keys that the rows now have; `inputs` one of the keys among which the new application looks
    for the input of a row, in its order. `planted` are the kinds of objects.
    """

    name: str
    objects: Callable[[int | None], Iterable[Media]]
    planted: Callable[[int | None], tuple[Planted, ...]]
    params: Mapping[str, str]
    after: Callable[[int | None], Mapping[tuple[str, str], int]]
    keys: str
    inputs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A legacy database, by name, with its dirty rows, and how many of them must end where.

    `build` makes it, with so many rows; `application` lets the new application write into the new
    tables and says what it wrote. `before` and `after` the application has written, so many rows of
    each backfill come to each disposition. `params` are given to the change; `dismissed` is why the
    rows that wait in quarantine may stay behind. `outsider` is a role that may do everything with the old
    tables, `outside` says who that is; a story without one puts nothing away. `share` of the cohorts go ahead of
    the others, where it has some. `bucket` is what its rows point into.
    """

    change: str
    database: str
    about: str
    params: Mapping[str, str]
    dismissed: str
    build: Callable[[Connection, int | None], None]
    application: Callable[[Connection, int | None], str]
    planted: Callable[[int | None], tuple[Planted, ...]]
    before: Callable[[int | None], Mapping[tuple[str, str], int]]
    after: Callable[[int | None], Mapping[tuple[str, str], int]]
    digest: Callable[[Connection], str]
    tables: tuple[str, ...]
    look: tuple[str, ...]
    outsider: str = ""
    outside: str = ""
    share: str = ""
    bucket: Bucket | None = None
