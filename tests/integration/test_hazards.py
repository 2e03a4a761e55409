"""Hazards: what is dangerous is said before anything is done, with the cure in the user's own names."""

from __future__ import annotations

from pathlib import Path

from migrator.workflow import use_cases
from tests.support.projects import execute, make_project, one_table, run


def hazards(desk) -> dict[str, str]:
    """List the hazards a plan shows, by id."""
    return {one.id: f"{one.what} | {one.cure}" for one in use_cases.plan(desk).hazards}


def test_a_clean_change_has_no_hazard(database: str, tmp_path: Path) -> None:
    """A new table fed from an old one, without triggers or policies, is nothing to warn of."""
    assert {} == hazards(one_table(tmp_path, database))


def test_a_revision_that_locks_a_table_in_use(database: str, tmp_path: Path) -> None:
    """An index built on a table in use blocks its writers, and the plan says so with the safer way."""
    execute(database, "CREATE TABLE busy (id bigint PRIMARY KEY, at timestamptz)")
    desk = one_table(tmp_path, database, also="CREATE INDEX busy_at ON busy (at)")
    found = hazards(desk)
    assert {"H110"} == set(found)
    assert "CREATE INDEX busy_at ON busy (at)" in found["H110"]
    assert "concurrently" in found["H110"]


def test_a_revision_that_is_applied_is_no_hazard_any_more(database: str, tmp_path: Path) -> None:
    """What has run already is not warned of again."""
    execute(database, "CREATE TABLE busy (id bigint PRIMARY KEY, at timestamptz)")
    desk = one_table(tmp_path, database, also="CREATE INDEX busy_at ON busy (at)")
    run(desk)
    assert {} == hazards(desk)


def test_triggers_of_the_application_would_fire(database: str, tmp_path: Path) -> None:
    """An unguarded insert trigger on the target is named; a guarded one is not."""
    trigger = "CREATE TRIGGER {0} BEFORE INSERT ON new FOR EACH ROW {1} EXECUTE FUNCTION quiet()"
    body = "CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'"
    guard = "WHEN (coalesce(current_setting('migrator.applying', true), '') = '')"
    desk = one_table(
        tmp_path,
        database,
        also=f"{body}; {trigger.format('mail', '')}; {trigger.format('guarded', guard)}",
        ddl_down="DROP TABLE new; DROP FUNCTION quiet()",
    )
    found = hazards(desk)
    assert {"H105"} == set(found)
    assert "fires mail for every row" in found["H105"]


def test_rows_without_an_owner_under_a_policy_that_shows_them(database: str, tmp_path: Path) -> None:
    """V-T3: a column left NULL on which a policy says "or it is NULL" is visible to everybody."""
    policy = "ALTER TABLE new ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON new USING (owner = 'me' OR owner IS NULL)"
    desk = one_table(
        tmp_path, database, target="note text, owner text", fill={"owner": "missing('nobody knew')"}, also=policy
    )
    assert "rows with owner NULL are visible" in hazards(desk)["H104"]


def test_an_isolation_level_that_a_switch_cannot_be_exact_for(database: str, tmp_path: Path) -> None:
    """A role whose transactions are REPEATABLE READ by default is warned of the later switch."""
    desk = one_table(tmp_path, database)
    execute(
        database,
        "ALTER DATABASE " + database.rpartition("/")[2] + " SET default_transaction_isolation TO 'repeatable read'",
    )
    assert "repeatable read by default" in hazards(desk)["H107"]


def test_a_target_of_unknown_shape(database: str, tmp_path: Path) -> None:
    """Where no scratch server can be had, the plan says that types are unchecked, and why."""
    nowhere = "postgresql://postgres@127.0.0.1:1/nothing"
    one_table(tmp_path, database)
    desk = make_project(tmp_path, database, scratch_url=nowhere)
    plan = use_cases.plan(desk)
    assert ["H101"] == [one.id for one in plan.hazards]
    assert plan.notes[0].startswith("types unchecked: ")
    assert [3] == [one.source_rows for one in plan.balances]
