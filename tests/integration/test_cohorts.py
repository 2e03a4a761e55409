"""Cohorts: rows that go together, ahead of the others; moved, proven and taken back by themselves."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from migrator.model.cohorts import Asked, asked
from migrator.model.errors import MigratorError, RefusedError
from migrator.model.step import Report, State
from migrator.phases.backfill import CopyRows
from migrator.workflow import cohorts, use_cases
from migrator.workflow.desk import Desk
from migrator.workflow.status import status
from tests.support.projects import back, check, execute, make_project, rows_of, settle, silent

UP = """
CREATE TABLE users (mail text PRIMARY KEY, first int NOT NULL);
CREATE TABLE works (id int PRIMARY KEY, mail text REFERENCES users, status text NOT NULL CHECK (status <> 'bad'));
CREATE TABLE labels (id int PRIMARY KEY)
"""
DOWN = "DROP TABLE labels; DROP TABLE works; DROP TABLE users"
COHORT = 'cohort=sql("lower(btrim(mail))")'
BACKFILLS = {
    "users_from_old": f"""
backfill = Backfill(
    source="old", key="id", target="users", identity="mail", group=grouped(by=sql("lower(btrim(mail))"), order="id"),
    skip={{"nobody": sql("mail IS NULL")}}, {COHORT},
    columns={{"mail": sql("lower(btrim(mail))"), "first": column("id")}}, volatile="first",
)""",
    "works_from_old": f"""
backfill = Backfill(
    source="old", key="id", target="works", identity="id", {COHORT},
    columns={{"id": column("id"), "mail": sql("lower(btrim(mail))"), "status": column("status")}},
)""",
    "labels_from_tags": """
backfill = Backfill(source="tags", key="id", target="labels", identity="id", columns={"id": column("id")})""",
}


def project(tmp_path: Path, url: str, people: int = 60) -> Desk:
    """Make `people` with three works each, some of nobody, and a project that moves them by who they are."""
    execute(url, "CREATE TABLE tags (id int PRIMARY KEY); INSERT INTO tags VALUES (1), (2)")
    execute(url, "CREATE TABLE old (id int PRIMARY KEY, mail text, status text)")
    execute(
        url,
        f"INSERT INTO old SELECT n, CASE WHEN n % 3 = 0 THEN ' P' ELSE 'p' END || n % {people} || '@x.test', 'ok'"
        f" FROM generate_series(1, {3 * people}) AS n; INSERT INTO old SELECT 1000 + n, NULL, 'ok' FROM"
        " generate_series(1, 50) AS n",
    )
    return make_project(tmp_path, url, ddl_up=UP, ddl_down=DOWN, backfills=BACKFILLS)


def apply(desk: Desk, share: str | None = None, file: Path | None = None) -> Report:
    """Apply a share of the cohorts, or those of a file, or all that is left."""
    settle(desk.database.url)
    return use_cases.apply(desk, asked=asked(share, file), listen=silent)


def bucket(text: str) -> int:
    """Put a text into its bucket, as the documentation says."""
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") % 10_000


def wanted(url: str, upto: int) -> set[int]:
    """Say which rows belong to the first buckets."""
    found = rows_of(url, "SELECT id, coalesce(lower(btrim(mail)), id::text) FROM old")
    return {int(id) for id, text in found if bucket(str(text)) < upto}


def moved(url: str) -> set[int]:
    """Say which rows are moved."""
    return {int(id) for (id,) in rows_of(url, "SELECT id FROM works")}


def members(url: str) -> set[str]:
    """Read what the application reads."""
    return {str(one) for (one,) in rows_of(url, "SELECT member FROM migrator.cohort_member WHERE change = 'moving'")}


def test_a_share_is_a_part_of_every_larger_one_and_of_the_whole(database: str, tmp_path: Path) -> None:
    """Ten per cent, ten again, thirty, and all: the same rows go ahead, each part is proven, and then the whole."""
    desk = project(tmp_path, database)
    report = apply(desk, "10%")
    first = wanted(database, 1_000)
    assert 0 < len(first) < 200
    assert first == moved(database)
    assert report.proven
    assert "no proof of the change" in report.notes[0]
    assert report.state is State.COPYING
    assert {
        m for (m,) in rows_of(database, "SELECT lower(btrim(mail)) FROM old") if m and bucket(m) < 1_000
    } == members(database)
    assert rows_of(database, "SELECT count(*) FROM labels") == [(2,)]  # without a cohort: the whole
    assert cohorts.verify(desk, Asked(upto=1_000), listen=silent).proven
    assert cohorts.verify_counts(desk, Asked(upto=500)).proven
    assert not cohorts.verify(desk, Asked(upto=3_000), listen=silent).proven
    assert not check(desk).proven
    assert not any(step.detail for step in apply(desk, "10%").steps)
    apply(desk, "30%")
    assert wanted(database, 3_000) == moved(database)
    (said,) = status(desk.project, url=database)
    assert any(one.startswith("cohorts: ") and "% of 60)" in one for one in said.reasons)
    assert apply(desk).proven
    assert len(moved(database)) == 230
    assert len(members(database)) == 60
    back(desk)
    assert rows_of(database, "SELECT count(*) FROM migrator.cohort") == [(0,)]


def test_a_file_names_cohorts_which_are_folded(database: str, tmp_path: Path) -> None:
    """The lines of a file are folded as the rows are; who has no rows yet is a member all the same."""
    desk = project(tmp_path, database)
    file = tmp_path / "testers.txt"
    file.write_bytes("\ufeff  P7@X.test \r\n\r\np9@x.test\nnew@x.test".encode())
    assert apply(desk, file=file).proven
    assert moved(database) == {7, 67, 127, 9, 69, 129}
    assert members(database) == {"p7@x.test", "p9@x.test", "new@x.test"}
    assert cohorts.verify(desk, Asked(file=file), listen=silent).proven
    execute(database, "INSERT INTO old VALUES (500, 'New@x.test', 'ok')")
    assert not cohorts.verify_counts(desk, Asked(file=file)).proven
    assert apply(desk, "0.01%").proven  # every member of before is looked after, too
    assert 500 in moved(database)


def test_a_part_is_taken_back_and_goes_again(database: str, tmp_path: Path) -> None:
    """What a rollback of a part would lose is counted first; the others stay, and the application is told."""
    desk = project(tmp_path, database)
    assert apply(desk).proven
    first, every = wanted(database, 2_000), moved(database)
    (mine, *_), (other, *_) = sorted(one for one in first if one < 1_000), sorted(every - first)
    execute(database, f"UPDATE works SET status = 'seen' WHERE id IN ({mine}, {other})")
    with pytest.raises(RefusedError, match=rf"1 row of works: 1 changed by it since they were moved \({mine}\)\.$"):
        cohorts.rollback(desk, Asked(upto=2_000), listen=silent)
    cohorts.rollback(desk, Asked(upto=2_000), lose=["1 row of works"], listen=silent)
    assert moved(database) == every - first
    assert rows_of(database, "SELECT count(*) FROM labels") == [(2,)]
    assert use_cases.status_facts(desk).state is State.COPYING
    assert cohorts.verify_counts(desk, Asked(upto=2_000)).verdicts[0].evidence.endswith("pending")
    apply(desk, "20%")
    assert moved(database) == every
    assert members(database) == {m for (m,) in rows_of(database, "SELECT mail FROM users") if bucket(m) < 2_000}
    cohorts.rollback(desk, Asked(upto=1_000), keep_new=True, listen=silent)
    assert moved(database) == every - wanted(database, 1_000)
    assert members(database) == {m for (m,) in rows_of(database, "SELECT mail FROM users") if bucket(m) < 2_000}
    execute(database, f"UPDATE works SET status = 'ok' WHERE id = {other}")
    assert apply(desk).proven
    back(desk)


def test_before_expand_there_is_nothing_to_take_back(database: str, tmp_path: Path) -> None:
    """Tables that are not there yet are no fault of the definition: nothing is counted as lost, nothing is done."""
    desk = project(tmp_path, database)
    assert () == cohorts.losses(desk, Asked(upto=1_000))
    assert ("nothing of moving was moved",) == cohorts.rollback(desk, Asked(upto=1_000), listen=silent).notes


def test_a_member_is_moved_when_all_its_rows_are(database: str, tmp_path: Path) -> None:
    """A cohort with a row in quarantine is not for the application to read yet."""
    desk = project(tmp_path, database)
    execute(database, "UPDATE old SET status = 'bad' WHERE id = 67")
    file = tmp_path / "testers.txt"
    file.write_text("p7@x.test\np9@x.test\n", encoding="utf-8")
    assert not apply(desk, file=file).proven
    assert members(database) == {"p9@x.test"}
    execute(database, "UPDATE old SET status = 'ok' WHERE id = 67; DELETE FROM migrator.quarantine")
    assert apply(desk, file=file).proven
    assert members(database) == {"p7@x.test", "p9@x.test"}


def test_rows_that_change_their_cohort_between_runs(database: str, tmp_path: Path) -> None:
    """A moved row belongs to the cohort that it has now, and is moved once whichever way it goes."""
    desk = project(tmp_path, database)
    file, other = tmp_path / "a.txt", tmp_path / "b.txt"
    file.write_text("p7@x.test\n", encoding="utf-8")
    other.write_text("p8@x.test\n", encoding="utf-8")
    apply(desk, file=file)
    execute(
        database, "UPDATE old SET mail = 'p8@x.test' WHERE id = 67; UPDATE old SET mail = 'p7@x.test' WHERE id = 68"
    )
    apply(desk, file=file)
    assert moved(database) == {7, 67, 127, 68}
    apply(desk, file=other)
    assert moved(database) == {7, 67, 127, 68, 8, 128}
    assert rows_of(database, "SELECT mail FROM works WHERE id = 67") == [("p8@x.test",)]
    assert apply(desk).proven


@pytest.mark.parametrize("share", ["0%", "abc", "200%", "", "%", "10", "-5%", "nan%", "0.001%", "1e9999%"])
def test_what_is_no_share_is_refused(share: str) -> None:
    """A share is a percentage above nothing and up to all, and nothing else."""
    with pytest.raises(MigratorError) as error:
        asked(share, None)
    assert error.value.id == "M155"


def test_what_cannot_be_is_refused_before_anything_is_touched(database: str, tmp_path: Path) -> None:
    """Files that are none, a change without cohorts, a cohort that raises or looks elsewhere."""
    desk = project(tmp_path, database)
    file = tmp_path / "lines"
    for content in (b"", b" \n\n", b"caf\xe9\n", b"a\0b\n"):
        file.write_bytes(content)
        assert refused(desk, Asked(file=file)) == "M159"
    assert refused(desk, Asked(file=tmp_path / "none")) == "M159"
    assert use_cases.status_facts(desk).ledger is None
    plain = make_project(tmp_path, database, backfills={"labels_from_tags": BACKFILLS["labels_from_tags"]})
    assert refused(plain, Asked(upto=1)) == "M158"
    for wrong, id in (("sql('1 / (id - 7)')", "M157"), ("sql('no such thing')", "M114"), ("sql('random()')", "M120")):
        changed = {name: one.replace(COHORT, f"cohort={wrong}") for name, one in BACKFILLS.items()}
        assert refused(make_project(tmp_path, database, ddl_up=UP, backfills=changed), Asked(upto=1)) == id


def refused(desk: Desk, part: Asked) -> str:
    """Say by which id a run is refused."""
    with pytest.raises(MigratorError) as error:
        use_cases.apply(desk, asked=part, listen=silent)
    return error.value.id


@pytest.mark.parametrize("place", ["between two backfills", "before it is noted"])
def test_a_run_of_cohorts_killed_in_the_middle_goes_on(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Wherever it ends, the application sees no member before all its rows are there, and the next run goes on."""
    desk = project(tmp_path, database)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if place == "before it is noted":
            patched.setattr(cohorts, "settle", killed)
        else:
            kept, left = CopyRows.apply, iter([True])
            patched.setattr(CopyRows, "apply", lambda self, run: kept(self, run) if next(left, None) else killed())
        with pytest.raises(KeyboardInterrupt):
            apply(desk, "30%")
    assert members(database) == set()
    assert rows_of(database, "SELECT count(*) > 0 FROM migrator.cohort") == [(True,)]
    assert apply(desk, "30%").proven
    assert wanted(database, 3_000) == moved(database)
    with monkeypatch.context() as patched:
        patched.setattr(CopyRows, "undo", killed)
        with pytest.raises(KeyboardInterrupt):
            cohorts.rollback(desk, Asked(upto=3_000), listen=silent)
    assert members(database) == set()
    cohorts.rollback(desk, Asked(upto=3_000), listen=silent)
    assert moved(database) == set()
    assert apply(desk).proven
