"""Project: found, opened, and what it says about changes and databases."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from migrator.model.errors import ConfigurationError, UsageError
from migrator.project import Project

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
[database.default]
url = "postgresql://u:secret@file/default"
direct_url = "postgresql://file/direct"
search_path = "app, public"
scratch_url = "postgresql://file/scratch"
[database.studio]
url_env = "STUDIO_URL"
direct_url_env = "STUDIO_DIRECT_URL"
[database.nowhere]
[change.one]
[change.two]
database = "studio"
"""


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what the environment of the tests says."""
    for name in ("DATABASE_URL", "MIGRATOR_CONFIG", "STUDIO_URL", "STUDIO_DIRECT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give a project with three databases and two changes."""
    (tmp_path / "migrator.toml").write_text(FILE, encoding="utf-8")
    return Project.find(tmp_path)


def test_a_project_is_found_from_any_directory_inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is looked for in the working directory and all above it."""
    inside = project.root / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert project == Project.find()
    assert (project.root / "backfills", project.root / "revisions") == (
        project.backfills,
        project.revisions,
    )


def test_the_environment_names_a_project_and_a_flag_another(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MIGRATOR_CONFIG beats the working directory, --config beats both."""
    other = tmp_path / "other.toml"
    other.write_text("", encoding="utf-8")
    monkeypatch.setenv("MIGRATOR_CONFIG", str(other))
    assert () == Project.find().names()
    assert ("one", "two") == Project.find(project.root / "migrator.toml").names()


def test_the_home_of_nobody_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name such as ~nobody-here, which no user has, is M101 like any other that is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIGRATOR_CONFIG", "~nobody-here/migrator.toml")
    with pytest.raises(ConfigurationError, match="M101"):
        Project.find()


def test_no_project_anywhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of any project it is M101, with the ways to make or name one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"M101 There is no migrator\.toml in") as caught:
        Project.find()
    assert "--config" in caught.value.cure


def test_a_named_file_that_is_missing_is_told(tmp_path: Path) -> None:
    """A wrong --config is M101 and not the next best project."""
    with pytest.raises(ConfigurationError, match="M101"):
        Project.find(tmp_path / "none.toml")


def test_the_names_keep_the_order_of_the_file(project: Project) -> None:
    """Changes are listed as they are written."""
    assert ("one", "two") == project.names()


def test_an_unknown_change_names_what_was_meant(project: Project) -> None:
    """A name that is none is M103 with the known ones."""
    with pytest.raises(UsageError, match="M103 No change is called 'tow'") as caught:
        project.change("tow")
    assert "The changes are: one, two." in caught.value.what
    assert "Did you mean two?" == caught.value.cure
    with pytest.raises(UsageError, match="M103"):
        project.database_url("tow")


def test_a_change_is_what_the_file_says(project: Project) -> None:
    """Title, guide, database and the rest of the table arrive in the Change."""
    made = project.change("two")
    assert ("two", "studio", "count", ()) == (
        made.name,
        made.database,
        made.foreign,
        made.backfills,
    )


def test_the_default_database_is_that_of_the_file(project: Project) -> None:
    """Everything of [database.default] is given, when nothing replaces it."""
    expected = (
        "default",
        "postgresql://u:secret@file/default",
        "app, public",
        "postgresql://file/direct",
        "postgresql://file/scratch",
    )
    assert expected == project.database_url()
    assert expected == project.database_url("one")
    assert expected == project.database_url(project.change("one"))


def test_an_address_hides_what_it_holds(project: Project) -> None:
    """Printing an address shows its name and no password."""
    assert "DatabaseUrl('default')" == repr(project.database_url())


def test_database_url_replaces_only_the_default(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """DATABASE_URL replaces `default`, with its direct way, and nothing else."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://env/x")
    monkeypatch.setenv("STUDIO_URL", "postgresql://studio/x")
    monkeypatch.setenv("STUDIO_DIRECT_URL", "postgresql://studio/direct")
    made = project.database_url("one")
    assert ("postgresql://env/x", None) == (made.url, made.direct_url)
    made = project.database_url("two")
    assert ("studio", "postgresql://studio/x") == (made.name, made.url)
    assert "postgresql://studio/direct" == made.direct_url


def test_a_flag_replaces_any_database(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL on the command line wins, and what belongs to another URL is left out."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://env/x")
    monkeypatch.setenv("STUDIO_DIRECT_URL", "postgresql://studio/direct")
    for change in ("one", "two"):
        made = project.database_url(change, "postgresql://flag/x")
        assert ("postgresql://flag/x", None) == (made.url, made.direct_url)


def test_a_variable_that_is_not_set_is_named(project: Project) -> None:
    """A database whose variable is missing is M104 with that variable's name."""
    with pytest.raises(UsageError, match=r"M104 .*STUDIO_URL is not set") as caught:
        project.database_url("two")
    assert "Set STUDIO_URL" in caught.value.cure


def test_no_url_at_all_is_an_error(tmp_path: Path) -> None:
    """Without any URL it is M104 with every cure, never a server of our own."""
    (tmp_path / "migrator.toml").write_text(
        '[change.a]\n[change.b]\ndatabase = "other"\n[database.other]\n', encoding="utf-8"
    )
    project = Project.find(tmp_path)
    with pytest.raises(UsageError, match="M104") as caught:
        project.database_url("a")
    assert caught.value.cure.startswith("Set DATABASE_URL, or write url_env under [database.def")
    with pytest.raises(UsageError, match="M104") as caught:
        project.database_url("b")
    assert caught.value.cure.startswith("Write url_env under [database.other]")


def test_importing_the_room_is_cheap() -> None:
    """What reads the file is imported when a project is opened, not before."""
    code = "import sys, migrator.project; sys.exit('pydantic' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_a_store_without_a_bucket_is_told(project: Project, tmp_path: Path) -> None:
    """Who needs objects and has no bucket is told where to name it."""
    with pytest.raises(ConfigurationError, match="M251 There is no bucket"):
        project.storage()
    other = tmp_path / "stored.toml"
    other.write_text('[s3]\nbucket = "shop-media"', encoding="utf-8")
    assert "shop-media" == Project.open(other).storage().bucket
