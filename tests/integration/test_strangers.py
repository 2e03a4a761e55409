"""Tables of strangers go there and back: random schemas, rows and definitions, each judged by plain SQL as well."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.strangers import judge
from tests.support.strangers.draw import several, strangers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Databases

AT_ONCE = 10  # strangers of one change


@pytest.fixture(scope="module")
def place(databases: Databases) -> Iterator[tuple[str, frozenset[str]]]:
    """Give one database to all strangers, one after another, and what its server has."""
    with databases.fresh() as url:
        yield url, judge.prepare(url)


QUIET = {"database": None, "deadline": None, "phases": [Phase.generate], "suppress_health_check": list(HealthCheck)}


@settings(max_examples=10, derandomize=True, **QUIET)
@given(data=st.data())
def test_strangers_go_there_and_back(place: tuple[str, frozenset[str]], data: st.DataObject) -> None:
    """A hundred tables are moved, proven, found done, and taken back so that nothing is left of it."""
    url, features = place
    drawn = data.draw(several(features, AT_ONCE, AT_ONCE))
    with tempfile.TemporaryDirectory() as directory:
        judge.live(url, Path(directory), drawn)


@settings(max_examples=15, derandomize=True, **QUIET)
@given(data=st.data())
def test_strangers_that_cannot_be_moved_are_refused(place: tuple[str, frozenset[str]], data: st.DataObject) -> None:
    """A table that would not be safe is refused by the error foretold, and nothing is written."""
    url, features = place
    with tempfile.TemporaryDirectory() as directory:
        judge.refuse(url, Path(directory), data.draw(strangers(features, refused=True)))
