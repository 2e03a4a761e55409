"""The same as tests/integration/test_strangers.py with two thousand tables, and others every time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.support.strangers import judge
from tests.support.strangers.draw import several, strangers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Databases

pytestmark = pytest.mark.soak
PARTS = 8  # so that several workers share them
QUIET = {
    "database": None,
    "deadline": None,
    "phases": [Phase.generate, Phase.shrink],
    "suppress_health_check": list(HealthCheck),
}


@pytest.fixture(scope="module")
def place(databases: Databases) -> Iterator[tuple[str, frozenset[str]]]:
    """Give one database to all strangers, one after another, and what its server has."""
    with databases.fresh() as url:
        yield url, judge.prepare(url)


@pytest.mark.parametrize("part", range(PARTS))
def test_many_strangers_go_there_and_back(place: tuple[str, frozenset[str]], part: int) -> None:
    """Two thousand tables and more are moved, proven, found done, and taken back."""
    url, features = place

    @settings(max_examples=100, **QUIET)
    @given(drawn=several(features, 4))
    def there_and_back(drawn: list) -> None:
        with tempfile.TemporaryDirectory() as directory:
            judge.live(url, Path(directory), drawn)

    assert part < PARTS
    there_and_back()


def test_many_strangers_are_refused(place: tuple[str, frozenset[str]]) -> None:
    """Three hundred tables that would not be safe are refused by the error foretold."""
    url, features = place

    @settings(max_examples=300, **QUIET)
    @given(one=strangers(features, refused=True))
    def refused(one: object) -> None:
        with tempfile.TemporaryDirectory() as directory:
            judge.refuse(url, Path(directory), one)

    refused()
