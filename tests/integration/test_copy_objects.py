"""CopyObjects: what rows name is copied before them, recorded, taken back; killed, denied, contested, joined."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.objects import Place
from tests.support.pictures import Pictures, bodies


@pytest.fixture
def pictures(tmp_path: Path, database: str, place: Place) -> Pictures:
    """Give a project of three rows with their pictures."""
    return Pictures(tmp_path, database, place, count=3)


class TestDoUndoDo:
    """There, back, and there again."""

    def test_objects_are_copied_recorded_and_taken_back(self, pictures: Pictures) -> None:
        """What stands there after undo is what stood there before; the second time is as the first."""
        before = pictures.place.all()
        for _ in range(2):
            assert {"copied": 3} == pictures.copy()
            assert bodies([1, 2, 3]) == pictures.restored()
            assert [(".jpg", 9, "image/jpeg", "copied", "md5")] * 3 == pictures.records(
                "extension", "size", "content_type", "outcome", "evidence"
            )
            assert {} == pictures.copy(), "the second run finds nothing to do"
            assert ({"removed": 3}, []) == pictures.undo()
            assert before == pictures.place.all()
            assert [] == pictures.records("id")
