"""Groups against plain Python, many times."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.groups import ROWS, Drawn, project, there_and_back

pytestmark = pytest.mark.soak


def test_winners_and_followers_are_those_of_plain_python_for_long(database: str, tmp_path: Path) -> None:
    """Two hundred sources, each foretold, done, added to, proven, and undone."""
    desk = project(tmp_path, database, settings={"batch_rows": 3, "range_rows": 5, "workers": 2})

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(first=ROWS, later=ROWS)
    def holds(first: Drawn, later: Drawn) -> None:
        there_and_back(desk, first, later)

    holds()
