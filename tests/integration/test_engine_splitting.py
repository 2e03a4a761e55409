"""Finding 18: rows that only an attempt shows to be bad are found by smaller transactions, never by savepoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migrator.model.errors import MigratorError, RefusedError, UsageError
from migrator.model.step import Phase
from migrator.workflow import use_cases
from migrator.workflow.desk import Desk, open_desk
from tests.support.projects import check, execute, fates, one_table, rows_of, run, terms

if TYPE_CHECKING:
    from pathlib import Path

RAISES = (
    "CREATE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN IF NEW.note = 'bad' THEN RAISE 'no % here', NEW.note; END IF; RETURN NEW; END$$;"
)
BEFORE = f"{RAISES} CREATE TRIGGER raises BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION raises();"
DEFERRED = (
    f"{RAISES} CREATE CONSTRAINT TRIGGER raises AFTER INSERT ON new DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION raises();"
)
# Beside each row, the top transaction that wrote it: under a savepoint the two would differ.
TOP = (
    "CREATE TABLE tops (id bigint, top xid);"
    "CREATE FUNCTION top() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN INSERT INTO tops VALUES (NEW.id, pg_current_xact_id()::xid); RETURN NEW; END$$;"
    "CREATE TRIGGER top AFTER INSERT ON new FOR EACH ROW EXECUTE FUNCTION top();"
)


def some_bad(tmp_path: Path, url: str, also: str, total: int = 100, every: int = 23, **project: object) -> Desk:
    """Make a source of which some rows are bad."""
    rows = [(number, "good" if number % every else "bad") for number in range(1, total + 1)]
    return one_table(tmp_path, url, rows=rows, also=also, settings={"batch_rows": 40}, **project)


def clean(desk: Desk) -> bool:
    """Tell whether verify finds every row as it should be, quarantined ones aside."""
    return not any(number for one in check(desk).comparisons for number in one.counts.values())


@pytest.mark.parametrize("also", [BEFORE, DEFERRED], ids=["at once", "deferred to COMMIT"])
def test_finding_18_only_the_rows_at_fault_stay_behind(database: str, tmp_path: Path, also: str) -> None:
    """Exactly the bad rows are quarantined, with the server's sentence, also where a trigger is deferred."""
    desk = some_bad(tmp_path, database, also)
    run(desk)
    assert {("moved", ""): 96, ("quarantined", "no bad here"): 4} == terms(desk)
    held = rows_of(
        database, "SELECT source_key[1], sqlstate, source_row ->> 'note' FROM migrator.quarantine ORDER BY id"
    )
    assert [("23", "P0001", "bad"), ("46", "P0001", "bad"), ("69", "P0001", "bad"), ("92", "P0001", "bad")] == held
    assert clean(desk)


def test_finding_18_no_row_is_written_under_a_savepoint(database: str, tmp_path: Path) -> None:
    """Every row's xmin is that of a top transaction, and there is no more of them than there are batches."""
    desk = some_bad(tmp_path, database, BEFORE + TOP)
    run(desk)
    assert [] == rows_of(database, "SELECT id FROM new JOIN tops USING (id) WHERE new.xmin <> tops.top")
    (transactions,) = rows_of(database, "SELECT count(DISTINCT top::text) FROM tops")[0]
    assert 3 == transactions


def test_finding_18_counters_and_tables_agree(database: str, tmp_path: Path) -> None:
    """After all the splitting each row was counted once in the Ranges, and each is accounted for."""
    desk = some_bad(tmp_path, database, BEFORE)
    run(desk)
    counted = rows_of(database, "SELECT sum(read), sum(moved), sum(quarantined), bool_and(done) FROM migrator.range")
    assert [(100, 96, 4, True)] == [(int(a), int(b), int(c), d) for a, b, c, d in counted]
    (balance,) = use_cases.verify_counts(desk).balances
    assert (True, 0) == (balance.closes, balance.unaccounted)


def test_finding_18_a_check_with_a_function_of_its_own(database: str, tmp_path: Path) -> None:
    """A CHECK that calls a function which raises or is false stops its rows alone."""
    before = (
        "CREATE FUNCTION fine(note text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS"
        " $$BEGIN IF note = 'bad' THEN RAISE 'not fine'; END IF; RETURN note <> 'false'; END$$"
    )
    rows = [(1, "good"), (2, "bad"), (3, "false"), (4, "good")]
    desk = one_table(tmp_path, database, before=before, rows=rows, target="note text CHECK (fine(note))")
    run(desk)
    found = fates(desk)
    assert ["moved", "quarantined", "quarantined", "moved"] == [found[key][0] for key in "1234"]
    assert "not fine" in found["2"][1]
    assert "new_note_check" in found["3"][1]
    assert clean(desk)


@pytest.mark.parametrize("timing", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_finding_18_a_foreign_key_to_nothing_is_foretold(database: str, tmp_path: Path, timing: str) -> None:
    """A dangling reference is known before the copy, deferred or not, and only that row stays behind."""
    desk = one_table(
        tmp_path,
        database,
        before="CREATE TABLE parent (id bigint PRIMARY KEY); INSERT INTO parent VALUES (1), (2)",
        columns="parent_id bigint",
        rows=[(1, 1), (2, 3), (3, None), (4, 2)],
        target=f"parent_id bigint REFERENCES parent {timing}",
    )
    run(desk, to=Phase.EXPAND)
    expected = {("moved", ""): 3, ("quarantined", "parent_id: no such row in parent"): 1}
    assert expected == terms(desk, planned=True)
    run(desk)
    assert expected == terms(desk)
    assert clean(desk)


@pytest.mark.parametrize("timing", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_finding_18_a_reference_within_the_target(database: str, tmp_path: Path, timing: str) -> None:
    """A row that points at a later row of the same batch moves; one that points at nothing stays behind."""
    desk = one_table(
        tmp_path,
        database,
        columns="parent_id bigint",
        rows=[(1, None), (2, 1), (3, 4), (4, 2), (5, 99)],
        target=f"parent_id bigint REFERENCES new {timing}",
    )
    run(desk)
    found = fates(desk)
    assert ["moved", "moved", "moved", "moved", "quarantined"] == [found[key][0] for key in "12345"]
    assert clean(desk)


def test_finding_18_a_reference_to_a_row_of_a_later_batch(database: str, tmp_path: Path) -> None:
    """A row that came before the row it points at is not at fault: once all are there, it is there too."""
    desk = one_table(
        tmp_path,
        database,
        columns="parent_id bigint",
        rows=[(1, None), (2, 5), (3, 4), (4, None), (5, 3), (6, 99)],
        target="parent_id bigint REFERENCES new",
        settings={"batch_rows": 1},
    )
    run(desk)
    found = fates(desk)
    assert ["moved"] * 5 + ["quarantined"] == [found[key][0] for key in "123456"]


def before_insert(body: str) -> str:
    """Write a trigger on the target with a body of its own."""
    return (
        f"CREATE FUNCTION acts() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body}; RETURN NEW; END$$;"
        "CREATE TRIGGER acts BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION acts()"
    )


BROKEN = {
    "a missing function in a trigger": (before_insert("PERFORM nowhere()"), "M312", "nowhere"),
    "a missing table in a trigger": (before_insert("INSERT INTO nowhere VALUES (1)"), "M312", "nowhere"),
    "a full disk": (before_insert("RAISE 'no space' USING ERRCODE = '53100'"), "M309", "no space"),
    "a cancelled statement": (before_insert("RAISE 'too long' USING ERRCODE = '57014'"), "M310", "too long"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_finding_18_what_is_no_fault_of_a_row_stops_the_run(database: str, tmp_path: Path, name: str) -> None:
    """A broken definition or world quarantines nothing: the run stops, names it, and goes on once it is mended."""
    also, error, words = BROKEN[name]
    desk = one_table(tmp_path, database, also=also)
    with pytest.raises(MigratorError, match=words) as caught:
        run(desk)
    assert error == caught.value.id
    assert [] == rows_of(database, "SELECT * FROM migrator.quarantine")
    assert [] == rows_of(database, "SELECT * FROM new")
    execute(database, "ALTER TABLE new DISABLE TRIGGER USER")
    run(desk)
    assert ({("moved", ""): 3}, True) == (terms(desk), check(desk, "trigger acts of new").proven)


def test_finding_18_missing_rights_stop_the_run(database: str, tmp_path: Path) -> None:
    """Without the right to insert nothing is quarantined: the run stops and says which GRANT is missing."""
    desk = one_table(tmp_path, database, rows=[(1, "a")])
    run(desk, to=Phase.EXPAND)
    role = f"weak_{database.rpartition('_')[0].rpartition('_')[2]}"
    execute(database, f"CREATE ROLE {role} LOGIN")
    try:
        execute(
            database,
            f"GRANT USAGE ON SCHEMA migrator TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA migrator TO {role};"
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA migrator TO {role}; GRANT CREATE ON SCHEMA migrator TO {role};"
            f"GRANT SELECT ON old, new TO {role}",
        )
        weak = one_table_desk(tmp_path, database.replace("postgres@", f"{role}@", 1))
        with pytest.raises(UsageError, match="permission denied for table new") as caught:
            run(weak)
        assert f'GRANT INSERT, UPDATE, DELETE ON TABLE "new" TO "{role}"' in caught.value.cure
        assert [] == rows_of(database, "SELECT * FROM migrator.quarantine")
        assert [] == rows_of(database, "SELECT * FROM new")
    finally:
        execute(database, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def one_table_desk(tmp_path: Path, url: str) -> Desk:
    """Open the project that is there on another address."""
    return open_desk(config=str(tmp_path), url=url)


def test_finding_18_too_many_bad_rows_stop_the_run(database: str, tmp_path: Path) -> None:
    """Above the limit the run stops with what it did so far; raised, it goes on from there."""
    rows = [(number, "bad") for number in range(1, 31)]
    desk = one_table(tmp_path, database, rows=rows, also=BEFORE, settings={"batch_rows": 5, "quarantine_limit": 10})
    with pytest.raises(RefusedError) as caught:
        run(desk)
    assert "M404" == caught.value.id
    (held,) = rows_of(database, "SELECT count(*) FROM migrator.quarantine")[0]
    assert 10 < held <= 16
    config = tmp_path / "migrator.toml"
    config.write_text(config.read_text().replace("quarantine_limit = 10", 'quarantine_limit = "none"'))
    desk = one_table_desk(tmp_path, database)
    run(desk)
    assert {("quarantined", "no bad here"): 30} == terms(desk)


def test_a_text_no_function_can_test_is_found_by_halving(database: str, tmp_path: Path) -> None:
    """Where the server cannot test a text for a type, a plan still counts the rows that cannot be cast."""
    desk = one_table(
        tmp_path,
        database,
        columns="n text",
        rows=[(k, "x" if k % 7 == 0 else str(k)) for k in range(1, 31)],
        target="n integer",
    )
    terms = use_cases.plan(desk).balances[0].terms
    assert (26, 4) == tuple(
        sum(one.rows for one in terms if one.disposition == kind) for kind in ("moved", "quarantined")
    )


def test_rows_for_which_a_definition_raises_are_isolated_everywhere(database: str, tmp_path: Path) -> None:
    """A fragment that divides by zero for two rows holds back those two: in plan, copy, proof and Balance alike."""
    rows = [(k, 0 if k in (3, 9) else k) for k in range(1, 13)]
    desk = one_table(tmp_path, database, columns="n integer", rows=rows, fill={"n": "sql('100 / n')"})
    foretold = use_cases.plan(desk).balances[0]
    assert (10, 2, 0) == (foretold.rows("moved"), foretold.rows("quarantined"), foretold.unaccounted)
    run(desk)
    found = check(desk)
    assert {"moved": 10, "quarantined": 2} == {one.disposition: one.rows for one in found.balances[0].terms}
    assert found.balances[0].closes
    assert found.comparisons[0].proven
    execute(database, "UPDATE old SET n = 0 WHERE id = 5; INSERT INTO old VALUES (13, 0), (14, 14)")
    counts = check(desk).comparisons[0].counts
    assert 3 == sum(counts.values())
