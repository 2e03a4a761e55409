"""What the acceptance tests of the documented studio share: copies of its legacy database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.photos import done as photos_done_with
from tests.support.photos import expanded as expanded_photos
from tests.support.photos import in_use as photos_of_phase_2
from tests.support.photos import moved as moved_photos
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


@pytest.fixture
def photos(database_from: Copies) -> Callable[[], str]:
    """Give copies of the photo library with the empty columns of Phase 2."""
    return lambda: database_from("phase_2_jobs expanded", expanded_photos)


@pytest.fixture
def photos_in_use(database_from: Copies) -> Callable[[], str]:
    """Give copies of the photo library in which the application of Phase 2 worked for a while."""
    return lambda: database_from("phase_2_jobs in use", photos_of_phase_2)


@pytest.fixture
def photos_moved(database_from: Copies) -> Callable[[], str]:
    """Give copies of the photo library of Phase 1 with payloads of every kind, after its rows were moved."""
    return lambda: database_from("phase_2_jobs moved", moved_photos)


@pytest.fixture
def photos_done(database_from: Copies) -> Callable[[], str]:
    """Give copies of the photo library in use after the whole change, proven there."""
    return lambda: database_from("phase_2_jobs done", photos_done_with)
