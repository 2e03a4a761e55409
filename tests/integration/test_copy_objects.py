"""CopyObjects: what rows name is copied before them, recorded, taken back; killed, denied, contested, joined."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.model.step import Phase, State
from tests.support.kills import as_it_was
from tests.support.objects import Place
from tests.support.pictures import Pictures, bodies


@pytest.fixture
def pictures(tmp_path: Path, database: str, place: Place) -> Pictures:
    """Give a project of three rows with their pictures."""
    return Pictures(tmp_path, database, place, count=3)


NEW = {n: f"restored/{n}.jpg" for n in (1, 2, 3)}
OLD = {n: f"old/{n}.png" for n in (1, 2, 3)}


class TestDoUndoDo:
    """There, back, and there again."""

    def test_rows_and_objects_go_and_come_back_together(self, pictures: Pictures) -> None:
        """After apply rows have new keys at which the objects are; after rollback all is as before, twice."""
        before, rows = pictures.place.all(), as_it_was(pictures.url)
        for _ in range(2):
            report = pictures.apply()
            assert State.VERIFIED is report.state
            assert {"copied": 3} == report.steps[1].detail
            assert NEW == pictures.rows()
            assert bodies(1, 2, 3) == pictures.restored()
            assert [(".jpg", 9, "image/jpeg", "copied", "md5")] * 3 == pictures.records(
                "extension", "size", "content_type", "outcome", "evidence"
            )
            assert pictures.apply().nothing_done
            assert pictures.is_done()
            pictures.back()
            assert before == pictures.place.all()
            assert rows == as_it_was(pictures.url)
            assert [] == pictures.records("id")

    def test_without_the_parameter_nothing_of_s3_is_touched(self, pictures: Pictures, objects: object) -> None:
        """Rows keep their keys, and the store may be anywhere."""
        del objects
        pictures.params = {"copy_objects": False}
        pictures.open(pictures.storage.__class__(endpoint="http://127.0.0.1:9", bucket="none"))
        assert State.VERIFIED is pictures.apply().state
        assert OLD == pictures.rows()
        assert [] == pictures.records("id")
        pictures.back()

    def test_the_parameter_may_come_and_go(self, pictures: Pictures) -> None:
        """Taken on later the rows get the new keys; taken off again the old ones; the copies stay until rollback."""
        before = pictures.place.all()
        pictures.params = {"copy_objects": False}
        pictures.open()
        pictures.apply()
        for wanted, keys in ((True, NEW), (False, OLD), (True, NEW)):
            pictures.params = {"copy_objects": wanted}
            pictures.open()
            assert State.VERIFIED is pictures.apply().state
            assert keys == pictures.rows()
            assert bodies(1, 2, 3) == pictures.restored()
            assert {"copied": 3} == pictures.outcomes()
        pictures.back()
        assert before == pictures.place.all()

    def test_rows_alone_go_back(self, pictures: Pictures) -> None:
        """Back to expand, objects go with the rows; the tables stay."""
        before = pictures.place.all()
        pictures.apply()
        pictures.back(to=Phase.EXPAND)
        assert before == pictures.place.all()
        assert {} == pictures.rows()
        assert State.VERIFIED is pictures.apply().state
