"""Servers that the tests fetch: used only when they are what npm says they are."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from tests.support import fetched


def test_a_file_that_is_not_as_npm_says_is_refused(tmp_path: Path) -> None:
    """Its sha512 decides; without one nothing is trusted."""
    file = tmp_path / "package.tgz"
    file.write_bytes(b"as it was published")
    digest = base64.b64encode(hashlib.sha512(b"as it was published").digest()).decode()
    fetched._compare(file, f"sha512-{digest}", "a package")
    with pytest.raises(fetched.FetchError, match="no sha512"):
        fetched._compare(file, "", "a package")
    file.write_bytes(b"something else")
    with pytest.raises(fetched.FetchError, match="not what npm says"):
        fetched._compare(file, f"sha512-{digest}", "a package")


def test_links_that_a_package_cannot_carry_are_made(tmp_path: Path) -> None:
    """They are relative, so that the package may be moved."""
    library = tmp_path / "native" / "lib"
    library.mkdir(parents=True)
    (library / "libx.so.60.2").write_text("x")
    listed = [{"source": "native/lib/libx.so.60.2", "target": "native/lib/libx.so.60"}]
    (tmp_path / "native" / "pg-symlinks.json").write_text(json.dumps(listed))
    for _ in range(2):
        fetched._link(tmp_path)
    assert "libx.so.60.2" == str((library / "libx.so.60").readlink())


def test_a_version_nobody_named_is_not_fetched() -> None:
    """Only names and versions that stand in the project are asked for."""
    with pytest.raises(fetched.FetchError, match="PostgreSQL 9"):
        fetched.fetch(9)
