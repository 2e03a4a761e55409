"""Settings of a run: who says what, and who has the last word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migrator.model.change import Settings
from migrator.model.errors import ConfigurationError
from migrator.project.config import Config
from migrator.project.settings import VARIABLES, resolve

if TYPE_CHECKING:
    from typing import Any


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what the environment of the tests says."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)


def config(**tables: Any) -> Config:
    """Make a configuration of one change `x` with the backfills a and b."""
    change = {"backfills": ["a", "b"], **tables.pop("change", {})}
    return Config.model_validate({"change": {"x": change}, **tables})


def test_nothing_said_is_the_default() -> None:
    """Where nobody says anything, every backfill has the defaults of the model."""
    assert {"a": Settings(), "b": Settings()} == resolve(config(), "x", {})


def test_the_nearer_word_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flag beats environment beats backfill beats change beats defaults."""
    asked = config(
        defaults={"workers": 2, "lock_tries": 2, "batch_rows": 2, "range_rows": 2},
        change={"workers": 3, "lock_tries": 3, "batch_rows": 3, "backfill": {"a": {"workers": 4}}},
    )
    made = resolve(asked, "x", {})
    assert (4, 3) == (made["a"].workers, made["b"].workers)
    monkeypatch.setenv("MIGRATOR_WORKERS", "5")
    monkeypatch.setenv("MIGRATOR_LOCK_TRIES", "5")
    made = resolve(asked, "x", {"workers": 6, "batch_rows": None})
    assert Settings(workers=6, lock_tries=5, batch_rows=3, range_rows=2) == made["a"]
    assert made["a"] == made["b"]


def test_an_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing is as one that is not set."""
    monkeypatch.setenv("MIGRATOR_WORKERS", "")
    assert 1 == resolve(config(), "x", {})["a"].workers


def test_no_limit_can_be_said_against_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """`none` takes back the limit that a weaker place has set."""
    limited = config(defaults={"quarantine_limit": 7})
    assert 7 == resolve(limited, "x", {})["a"].quarantine_limit
    monkeypatch.setenv("MIGRATOR_QUARANTINE_LIMIT", "none")
    assert resolve(limited, "x", {})["a"].quarantine_limit is None


def test_a_duration_becomes_milliseconds() -> None:
    """A lock timeout is given as people write it."""
    made = resolve(config(), "x", {"lock_timeout": "3s"})
    assert 3_000 == made["a"].lock_timeout_ms


def test_wrong_flags_and_variables_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wrong value is named by the flag or the variable it came from."""
    monkeypatch.setenv("MIGRATOR_WORKERS", "many")
    monkeypatch.setenv("MIGRATOR_LOCK_TIMEOUT", "2")
    with pytest.raises(ConfigurationError, match="M102") as caught:
        resolve(config(), "x", {"batch_rows": 0, "lock_tries": "x"})
    for place in ("MIGRATOR_WORKERS:", "MIGRATOR_LOCK_TIMEOUT:", "--batch-rows:", "--lock-tries:"):
        assert place in caught.value.what
