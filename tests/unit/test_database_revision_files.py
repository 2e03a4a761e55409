"""Revisions read from their files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from migrator.database.revision_files import declared, labels
from migrator.model.errors import ConfigurationError

HERE = Path(__file__).parents[2] / "revisions"


def write(
    directory: Path,
    name: str,
    down: str | None,
    label: str | None = None,
    body: str = "pass",
    more: str = "",
) -> None:
    """Write one revision."""
    (directory / "versions").mkdir(exist_ok=True)
    labels = f'("{label}",)' if label else "None"
    (directory / "versions" / f"{name}.py").write_text(
        f'"""Do {name}.\n\nMore."""\nrevision: str = "{name}"\n'
        f"down_revision = {down!r}\nbranch_labels = {labels}\n"
        f"depends_on = None\n{more}\ndef upgrade():\n    pass\n\ndef downgrade():\n    {body}\n"
    )


def test_a_change_is_listed_from_base_to_head(tmp_path: Path) -> None:
    """The order is that of the chain, not of the files, and other changes are left out."""
    write(tmp_path, "b", None, "one", "op.drop()")
    write(tmp_path, "a", "b", body="'''Nothing.'''")
    write(tmp_path, "c", "a", body="raise NotImplementedError('no way')")
    write(tmp_path, "d", None, "other")
    found = declared(tmp_path, "one")
    assert [(one.id, one.down, one.reversible) for one in found] == [
        ("b", None, True),
        ("a", "b", False),
        ("c", "a", False),
    ]
    assert found[0].doc == "Do b."
    assert labels(tmp_path) == ["one", "other"]


def test_the_label_may_stand_anywhere(tmp_path: Path) -> None:
    """A label on a later revision names the whole line, as it does for Alembic."""
    write(tmp_path, "a", None)
    write(tmp_path, "b", "a", "one")
    write(tmp_path, "c", "b")
    assert [one.id for one in declared(tmp_path, "one")] == ["a", "b", "c"]


def test_an_unknown_change_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    """M204 names what there is."""
    write(tmp_path, "a", None, "video_jobs")
    with pytest.raises(ConfigurationError, match="Did you mean video_jobs") as caught:
        declared(tmp_path, "video_job")
    assert caught.value.id == "M204"


def test_a_line_that_is_none_is_refused(tmp_path: Path) -> None:
    """M205 for two heads, a gap, a double id, a merge, and a dependency."""
    write(tmp_path, "a", None, "one")
    write(tmp_path, "b", "a")
    write(tmp_path, "c", "a")
    refused(tmp_path, "b and c both follow a")
    (tmp_path / "versions" / "c.py").unlink()
    write(tmp_path, "b", "a", more="depends_on = 'x'")
    refused(tmp_path, "depends on other")
    write(tmp_path, "b", None)
    write(tmp_path, "a", "gone", "one")
    refused(tmp_path, "gone, which is not there")
    write(tmp_path, "a", "b", "one")
    write(tmp_path, "b", "a")
    refused(tmp_path, "follows itself")
    write(tmp_path, "b", None, "two")
    refused(tmp_path, "also carry the label two")
    write(tmp_path, "b", None)
    (tmp_path / "versions" / "c.py").write_text((tmp_path / "versions" / "a.py").read_text())
    refused(tmp_path, "more than one file")


def refused(directory: Path, words: str) -> None:
    """Expect M205 with these words."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        declared(directory, "one")
    assert caught.value.id == "M205"


@pytest.mark.parametrize("text", ["revision = make()", "revision = (", 'revision = "a"\ndown_revision = x'])
def test_what_cannot_be_read_without_running_it_is_refused(tmp_path: Path, text: str) -> None:
    """M207 names the file."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "bad.py").write_text(text)
    with pytest.raises(ConfigurationError, match=r"bad\.py") as caught:
        declared(tmp_path, "one")
    assert caught.value.id == "M207"


def test_files_that_are_no_revisions_are_ignored(tmp_path: Path) -> None:
    """Helpers beside the revisions do not disturb."""
    write(tmp_path, "a", None, "one")
    (tmp_path / "versions" / "helpers.py").write_text("X = 1\n")
    (tmp_path / "versions" / "__init__.py").write_text("revision = broken(")
    assert [one.id for one in declared(tmp_path, "one")] == ["a"]


def test_our_own_revisions_are_read_as_alembic_reads_them() -> None:
    """Reading the files gives the chains that Alembic finds by running them."""
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert labels(HERE)
    for label in labels(HERE):
        chain = [one.revision for one in script.iterate_revisions(f"{label}@head", f"{label}@base", inclusive=True)]
        assert [one.id for one in declared(HERE, label)] == chain[::-1]


def test_reading_them_imports_neither_alembic_nor_sqlalchemy() -> None:
    """`migrator status` stays quick."""
    code = (
        "import sys; from migrator.database import revisions, inventory, session, locks;"
        "print([one for one in ('alembic', 'sqlalchemy') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
