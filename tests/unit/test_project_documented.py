"""The documented changes: their definitions load, and say what the guides' tables need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import migrator
from migrator.demo.output_type_tables.fates import CAPTIONS, EDITS, STYLES
from migrator.demo.output_type_tables.fates import PICTURES as IMAGE
from migrator.demo.output_type_tables.fates import VIDEOS as VIDEO
from migrator.model.errors import ConfigurationError
from migrator.model.expressions import Column, RulesGive, Sql
from migrator.project import Project

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.model.change import Change


@pytest.fixture(scope="module")
def change() -> Change:
    """Give output_type_tables as it is documented."""
    return Project.documented().change("output_type_tables")


def test_the_backfills_are_loaded(change: Change) -> None:
    """The change has one backfill per source and target; that of the captions only where it is asked for."""
    assert (VIDEO, IMAGE, STYLES, EDITS) == tuple(one.name for one in change.backfills)
    assert (CAPTIONS,) == tuple(one.name for one in change.left_out)
    assert ("multitalk_jobs", "style_transfers", "edited_images") == change.sources
    assert ("video_jobs", "image_jobs") == change.targets
    whole = Project.documented().change("output_type_tables", params={"captions": "true"})
    assert (*change.backfills, *change.left_out) == whole.backfills
    assert () == whole.left_out


def test_every_row_is_sent_to_exactly_one_of_them(change: Change) -> None:
    """What one backfill of multitalk_jobs skips is what the other takes, by the same rules; no other skips a row."""
    (video,), (image,), *others = (one.skips for one in change.backfills)
    assert (IMAGE, VIDEO) == (video.elsewhere, image.elsewhere)
    assert isinstance(video.when, RulesGive)
    assert ~video.when == image.when
    assert video.when.rules.fallback is not None
    assert not any(others)


def test_a_user_may_be_given_and_is_never_guessed(change: Change) -> None:
    """Without a map of users the owner is missing, and all backfills share one map; images know an address too."""
    for backfill in (*change.backfills, *change.left_out):
        assert ("user_map_by_ip" in backfill.parameters()) == (backfill.name in {STYLES, EDITS})
        assert "user_map" in backfill.parameters()
        assert "user_id" in backfill.missing()


def test_nothing_is_decided_by_default(change: Change) -> None:
    """Of all parameters of the definitions only the server of the style transfers has a value of its own."""
    given = {name: one for name, one in change.arguments.scalars.items() if one not in {None, False}}
    assert {"comfy_url": "https://comfy.vapai.studio"} == given
    assert {} == change.arguments.files


def test_a_map_of_users_is_read_for_all(tmp_path: Path) -> None:
    """A given map is an argument of each backfill, and changes its digest."""
    file = tmp_path / "users.csv"
    file.write_text("job_id,user_id\n1,00000000-0000-8000-8000-000000000001\n", encoding="utf-8")
    project = Project.documented()
    with_map = project.change("output_type_tables", params={"user_map": str(file)})
    without = project.change("output_type_tables")
    for name in (VIDEO, IMAGE, STYLES, EDITS):
        given, plain = with_map.backfill(name), without.backfill(name)
        assert given is not None
        assert given == plain
        assert ["user_map"] == list(with_map.arguments_of(given).files)
        assert with_map.definition_digest(given) != without.definition_digest(given)


@pytest.mark.parametrize("name", ["stale_after", "fix_naive_tz", "storage_url"])
def test_a_decision_changes_the_digest_of_what_it_decides(name: str, change: Change) -> None:
    """A parameter inside a fragment is an argument of the definition as any other."""
    other = Project.documented().change("output_type_tables", params={name: "1 day"})
    for backfill in change.backfills:
        decided = name in backfill.parameters()
        assert decided == (change.definition_digest(backfill) != other.definition_digest(backfill))
    assert any(name in one.parameters() for one in change.backfills)


def test_the_video_url_may_be_absent(change: Change) -> None:
    """A database made from the page's first table definition lacks video_url."""
    for backfill in (change.backfill(VIDEO), change.backfill(IMAGE)):
        assert backfill is not None
        columns = [one for one in backfill.parts() if isinstance(one, Column)]
        assert all(one.absent for one in columns if one.name == "video_url")
        assert any(one.absent for one in columns)


def test_no_fragment_reads_what_may_be_absent(change: Change) -> None:
    """A fragment that named video_url would fail where the column is absent."""
    for backfill in change.backfills:
        texts = [one.text for one in backfill.parts() if isinstance(one, Sql)]
        assert not [one for one in texts if "video_url" in one]


def test_what_is_left_behind_has_a_reason(change: Change) -> None:
    """The columns nobody reads say why."""
    left = {one.name: dict(one.left_behind) for one in change.backfills}
    assert [["created_at"], ["created_at"], [], ["workflow_name"]] == [list(one) for one in left.values()]
    assert all(reason for one in left.values() for reason in one.values())


def test_the_wheel_carries_the_documented_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside an installed package they lie in a directory of their own."""
    inside = tmp_path / "migrator" / "documented"
    (inside / "backfills").mkdir(parents=True)
    (inside / "migrator.toml").write_text("[change.inside]", encoding="utf-8")
    monkeypatch.setattr(migrator, "__file__", str(tmp_path / "migrator" / "__init__.py"))
    assert ("inside",) == Project.documented().names()


def test_an_installation_without_them_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they did not come along it is M101."""
    monkeypatch.setattr(migrator, "__file__", str(tmp_path / "migrator" / "__init__.py"))
    with pytest.raises(ConfigurationError, match="M101"):
        Project.documented()
