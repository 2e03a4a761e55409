"""Groups are as plain Python understands them, whatever the rows are, and whenever a copy of them is killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from migrator.model.step import Phase
from tests.support.groups import ROWS, Drawn, Row, project, reference, there_and_back, values
from tests.support.kills import Child, as_it_was
from tests.support.projects import CHANGE, back, check, execute, fates, rows_of, run


def test_winners_and_followers_are_those_of_plain_python(database: str, tmp_path: Path) -> None:
    """Whatever the rows are: foretold, done, added to, proven, and undone."""
    desk = project(tmp_path, database, settings={"batch_rows": 3, "range_rows": 5})

    @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
    @given(first=ROWS, later=ROWS)
    def holds(first: Drawn, later: Drawn) -> None:
        there_and_back(desk, first, later)

    holds()


@pytest.mark.soak
def test_a_copy_killed_at_any_point_ends_as_one_that_was_not(database: str, tmp_path: Path) -> None:
    """Killed after ranking, among the winners and among the rows that follow them, while others come in."""
    desk = project(tmp_path, database, settings={"batch_rows": 20, "range_rows": 60, "workers": 2})
    rows = [
        Row(n, None if n % 17 == 0 else f"m{n * 31 % 70}", n * 13 % 29, "wrong" if n % 41 == 0 else "fine")
        for n in range(1, 241)
    ]
    execute(database, values(rows[:230]))
    before = as_it_was(database)
    run(desk, to=Phase.EXPAND)
    for word, times in (("step backfill", 1), ("progress backfill", 9)):
        with Child("apply", tmp_path, database, CHANGE) as child:
            assert child.heard(word, times)
            assert child.kill()
    assert 0 < rows_of(database, "SELECT count(*) FROM new")[0][0]
    execute(database, values(rows[230:]))
    run(desk)
    assert reference([rows[:230], rows[230:]]) == fates(desk)
    assert not check(desk).comparisons[0].counts
    execute(database, "DELETE FROM old WHERE id > 230")
    with Child("rollback", tmp_path, database, CHANGE) as child:
        child.heard("progress")
        child.kill()
    back(desk)
    assert before == as_it_was(database)
