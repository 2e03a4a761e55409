"""An archive killed at every single statement it sends, the reads of its proof included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migrator.ledger import lease
from migrator.model.step import Phase
from tests.support.archives import kill_archives
from tests.support.projects import one_table, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.soak
def test_killed_at_every_statement(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL before each one: what is left is one side or the other, and goes on or back."""
    monkeypatch.setattr(lease, "BEAT", 0.02)
    monkeypatch.setattr(lease, "SILENCE_OF_THE_DEAD", 0.06)
    desk = one_table(tmp_path, database, archive={"old": "_archived_old"})
    run(desk, to=Phase.VERIFY)
    kill_archives(desk, every=True)
