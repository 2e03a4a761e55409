"""What `[change.X.archive]` may say."""

from __future__ import annotations

import pytest

from migrator.model import Backfill, column
from migrator.model.errors import ConfigurationError
from migrator.project.archiving import resolve
from migrator.project.config import ArchiveTable

BACKFILLS = [
    Backfill(source=source, key="id", target="new", identity="id", columns={"id": column("id")})
    for source in ("people", "old.people", "places")
]


def test_each_source_may_have_a_name_of_its_own() -> None:
    """A name of 63 bytes is one; in another schema a table may be archived under the name of one in this."""
    names = {"people": "_archived_people", "places": "é" * 31 + "x"}
    assert names == resolve("x", ArchiveTable(tables=names), BACKFILLS).tables


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"nobody": "_archived"}, "'nobody' is no source of this change. Known are: people, old.people, places."),
        ({"people": ""}, "'' is no name of a table: 1 to 63 bytes."),
        ({"people": "é" * 32}, "is no name of a table: 1 to 63 bytes."),
        ({"people": "gone", "places": "gone"}, "'gone' is the name of two tables."),
        ({"people": "people"}, "'people' is the table's own name."),
        ({"old.people": "people"}, "'people' is the table's own name."),
    ],
)
def test_a_name_that_cannot_be_the_archive_s_is_refused(tables: dict[str, str], said: str) -> None:
    """Before anything is asked of a database, with the place in the file."""
    with pytest.raises(ConfigurationError, match="M102") as caught:
        resolve("x", ArchiveTable(tables=tables), BACKFILLS)
    assert said in f"{caught.value.what} {caught.value.cure}"
    assert "change.x.archive.tables" in caught.value.what
