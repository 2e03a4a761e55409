"""Verify compares the tables with how expand left them, object by object."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.model.errors import UsageError
from migrator.model.step import Phase
from migrator.workflow import use_cases
from migrator.workflow.use_cases import status_facts
from tests.support.projects import back, check, execute, make_project, make_source, run, silent

ALSO = """
CREATE INDEX new_note ON new (note);
CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER quiet BEFORE UPDATE ON new FOR EACH ROW EXECUTE FUNCTION quiet();
ALTER TABLE new ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON new FOR SELECT USING (note IS NOT NULL);
CREATE POLICY writers ON new FOR INSERT WITH CHECK (true);
COMMENT ON COLUMN new.note IS 'what was said';
GRANT SELECT ON new TO pg_monitor
"""
CLAIM = "the tables are as expand left them"


def project(tmp_path: Path, url: str):
    """Write a project whose revision makes a table with objects of every kind."""
    return make_project(
        tmp_path,
        url,
        ddl_up=f"CREATE TABLE new (id bigint PRIMARY KEY, note text CHECK (note <> '')); {ALSO}",
        ddl_down="DROP TABLE new; DROP FUNCTION quiet()",
    )


def moved(tmp_path: Path, url: str):
    """Move three rows, proven."""
    make_source(url, rows=((1, "one"), (2, "two"), (3, None)))
    desk = project(tmp_path, url)
    run(desk, to=Phase.VERIFY)
    return desk


def claim(report) -> tuple[bool, str]:
    """Give the verdict about the tables."""
    (found,) = [one for one in report.verdicts if one.claim == CLAIM]
    return found.proven, found.evidence


def test_tables_as_expand_left_them_are_a_claim_of_their_own(database: str, tmp_path: Path) -> None:
    """What is unchanged is proven, with the number of objects; rows written meanwhile are no change."""
    desk = moved(tmp_path, database)
    execute(database, "INSERT INTO new VALUES (9, 'of the application'); ANALYZE new")
    assert (True, "14 objects of 1 table") == claim(check(desk))
    assert "verified" == status_facts(desk).state


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE new DISABLE ROW LEVEL SECURITY", "row security of new is off (it was on)"),
        ("DROP POLICY readers ON new", "policy readers of new is gone (it was AS PERMISSIVE FOR SELECT TO PUBLIC"),
        ("CREATE POLICY all_of_it ON new USING (true)", "policy all_of_it of new is new"),
        ("ALTER POLICY readers ON new USING (true)", "policy readers of new is AS PERMISSIVE FOR SELECT TO PUBLIC"),
        ("DROP INDEX new_note", "index new_note of new is gone"),
        ("ALTER TABLE new DISABLE TRIGGER quiet", "state of trigger quiet of new is DISABLED (it was ENABLED)"),
        ("CREATE OR REPLACE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
         "function of trigger quiet of new is"),
        ("ALTER TABLE new DROP CONSTRAINT new_note_check", "check new_note_check of new is gone"),
        ("ALTER TABLE new ALTER note SET DEFAULT 'x'", """column note of new is "note" text DEFAULT 'x'::text"""),
        ("REVOKE SELECT ON new FROM pg_monitor", "grants to pg_monitor on new is gone (it was SELECT)"),
        ("COMMENT ON COLUMN new.note IS 'nothing'", "comment on column note of new is nothing (it was what was said)"),
        ("DROP TABLE new CASCADE; CREATE TABLE new (id bigint PRIMARY KEY, note text)", "row security of new is off"),
    ],
)  # fmt: skip
def test_t15_each_object_that_differs_is_named(database_from, tmp_path: Path, change: str, said: str) -> None:
    """T15: what somebody changed since expand is named with what it was, and nothing is proven any more."""
    url = database_from("moved with objects", lambda url: moved(tmp_path, url))
    desk = project(tmp_path, url)
    execute(url, change)
    assert "copied" == status_facts(desk).state
    report = check(desk)
    proven, evidence = claim(report)
    assert not proven
    assert said in evidence
    assert report.proven is False


def test_v_t25_row_security_that_is_lost_while_policies_remain_is_found(database: str, tmp_path: Path) -> None:
    """V-T25: `apply`, which had nothing to do, is not proven; put back, the old proof holds again."""
    desk = moved(tmp_path, database)
    execute(database, "ALTER TABLE new DISABLE ROW LEVEL SECURITY; DROP INDEX new_note; DROP POLICY writers ON new")
    report = use_cases.apply(desk, listen=silent)
    proven, evidence = claim(report)
    assert not proven
    assert report.proven is False
    for lost in ("row security of new is off", "index new_note of new is gone", "policy writers of new is gone"):
        assert lost in evidence
    execute(
        database,
        "ALTER TABLE new ENABLE ROW LEVEL SECURITY; CREATE INDEX new_note ON new (note);"
        "CREATE POLICY writers ON new FOR INSERT WITH CHECK (true)",
    )
    assert check(desk).proven


def test_a_deliberate_change_is_accepted_by_name(database: str, tmp_path: Path) -> None:
    """What was changed on purpose is accepted object by object; what was not named stays a difference."""
    desk = moved(tmp_path, database)
    execute(database, "CREATE INDEX later ON new (id, note); ALTER TABLE new DISABLE ROW LEVEL SECURITY")
    with pytest.raises(UsageError, match="M215") as refused:
        use_cases.verify(desk, accept=["index latter of new"], listen=silent)
    assert '"index later of new", "row security of new"' in refused.value.cure
    proven, evidence = claim(use_cases.verify(desk, accept=["index later of new"], listen=silent))
    assert not proven
    assert evidence == "row security of new is off (it was on)"
    assert use_cases.verify(desk, accept=["row security of new"], listen=silent).proven
    assert "verified" == status_facts(desk).state
    back(desk)
    assert "new" == status_facts(desk).state
