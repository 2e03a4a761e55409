"""What the acceptance tests of the documented studio share: copies of its legacy database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.studio import captioned_too, expanded, guided, moved, with_application

Copies = Callable[[str, Callable[[str], object]], str]


@pytest.fixture
def legacy(database_from: Copies) -> Callable[[], str]:
    """Give copies of the legacy database with empty new tables."""
    return lambda: database_from("output_type_tables expanded", expanded)


@pytest.fixture
def in_use(database_from: Copies) -> Callable[[], str]:
    """Give copies of the legacy database with the new application's rows in the new tables."""
    return lambda: database_from("output_type_tables in use", with_application)


@pytest.fixture
def by_guide(database_from: Copies) -> Callable[[], str]:
    """Give copies of the database after the guide's own SQL."""
    return lambda: database_from("output_type_tables by the guide", guided)


@pytest.fixture
def done(database_from: Copies) -> Callable[[], str]:
    """Give copies of the database after the whole change, proven there."""

    def build(url: str) -> None:
        expanded(url)
        moved(url)

    return lambda: database_from("output_type_tables done", build)


@pytest.fixture
def captioned(database_from: Copies) -> Callable[[], str]:
    """Give copies of the database after the change with all four sources, proven there."""
    return lambda: database_from("output_type_tables with captions", captioned_too)
