"""Rows whose objects move with them: a row gets a new key only when the Ledger says that its object is there.

What copies objects is not in these tests: the records are made by hand, as a copy would leave them.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from migrator.database.session import execute as executed
from migrator.database.session import rows, transaction
from migrator.engine.groups import Ranking
from migrator.engine.prepare import prepare, record_definition
from migrator.ledger.run import Run
from migrator.model.errors import ConfigurationError
from migrator.model.moved_objects import WAITING, own_extension
from migrator.model.objects import Outcome
from migrator.model.step import Phase
from migrator.model.verdict import Comparison
from migrator.phases.backfill import CopyRows
from migrator.phases.catchup import CatchUpRows
from migrator.workflow import use_cases
from migrator.workflow.change_steps import comparison
from migrator.workflow.desk import Desk
from migrator.workflow.runner import running, take, take_back
from tests.support.projects import MOVE, definition, execute, fates, make_project, rows_of, run, silent, terms

SOURCE = """
CREATE TABLE old (id bigint PRIMARY KEY, job text, url text, sound text);
INSERT INTO old VALUES (1, 'j1', 'a/one.PNG', NULL), (2, 'j1', 'a/two', NULL), (3, 'j2', NULL, NULL)"""
TARGET = "CREATE TABLE new (id bigint PRIMARY KEY, job_id text, s3_key text, sound_key text)"
PICTURE = (
    "moved_object(column('url'), to='restored/{job_id}/{id}{ext}', only_if=param('copy_objects', bool, default=False))"
)
COLUMNS = {
    "id": "column('id')",
    "job_id": "column('job')",
    "s3_key": "object_key('picture', otherwise='url')",
}
MADE = "SELECT id, s3_key FROM new ORDER BY id"
OLD_KEYS = [(1, "a/one.PNG"), (2, "a/two"), (3, None)]
NEW_KEYS = [(1, "restored/j1/1.jpg"), (2, "restored/j1/2.jpg"), (3, None)]
FORESEEN = [(1, "restored/j1/1.png"), (2, "restored/j1/2"), (3, None)]


def project(
    tmp_path: Path,
    url: str,
    *,
    wanted: bool = True,
    objects: str = f"{{'picture': {PICTURE}}}",
    columns: dict[str, str] = COLUMNS,
    ddl: str = TARGET,
    down: str = "DROP TABLE new",
    **parts: str,
) -> Desk:
    """Write the project, or write it anew with something changed."""
    source = definition(columns, objects=objects, **parts)
    params = {"copy_objects": wanted} if "copy_objects" in source else {}
    return make_project(tmp_path, url, ddl_up=ddl, ddl_down=down, backfills={MOVE: source}, params=params)


@dataclass(frozen=True)
class Rows:
    """The rows of a change, without the Step that copies objects."""

    desk: Desk

    @property
    def url(self) -> str:
        """The database."""
        return self.desk.database.url

    def ready(self) -> Rows:
        """Make the target, and record the definition."""
        run(self.desk, to=Phase.EXPAND)
        with running(self.desk, "test", silent) as (held, conn):
            self._writing(held, conn)
        return self

    def listed(self) -> list[tuple[Any, ...]]:
        """List the objects of all rows: the row, its object's name, from where and to where it goes."""
        with running(self.desk, "test", silent) as (held, conn):
            writing = self._writing(held, conn)
            if ranking := Ranking.of(writing):
                with held.writing(conn):
                    ranking.run(conn, whole=True)
            with transaction(conn, read_only=True, search_path="public"):
                found = sorted(rows(conn, writing.objects(None, None)))
        assert not any(one[6] for one in found)
        return [tuple(one[:6]) for one in found]

    def record(self, outcome: str | None = Outcome.COPIED.value, extension: str = ".jpg", detail: str = "") -> None:
        """Write down what is listed as a copy would, with one outcome for all; what is not said is not known yet."""
        known = [extension if outcome else None, outcome, detail or None]
        lines = [[self.desk.change.name, MOVE, *one, *known] for one in self.listed()]
        with closing(psycopg.connect(self.url, autocommit=True)) as conn, conn.cursor() as cursor:
            cursor.execute("DELETE FROM migrator.object")
            cursor.executemany(
                "INSERT INTO migrator.object (change, backfill, source_key, name, from_bucket, from_key, to_bucket,"
                " to_key, extension, outcome, detail) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                lines,
            )

    def copy(self) -> dict[str, tuple[str, str]]:
        """Copy the rows, and say what became of each."""
        with running(self.desk, "test", silent) as (held, _):
            take(self._step, held)
        return fates(self.desk)

    def catch_up(self) -> dict[str, int]:
        """Bring rows up to date."""
        backfill = self.desk.change.backfills[0]
        with running(self.desk, "test", silent) as (held, _):
            step = CatchUpRows(change=self.desk.change, backfill=backfill, search_path="public")
            return dict(take(step, held).detail)

    def back(self) -> None:
        """Take the rows back."""
        with running(self.desk, "test", silent) as (held, _):
            take_back(self._step, held)

    def compared(self) -> Comparison:
        """Compare every row."""
        with closing(self.desk.database.connect()) as conn:
            (found,) = comparison(self.desk).prove(conn, silent).comparisons
        return found

    @property
    def _step(self) -> CopyRows:
        return CopyRows(change=self.desk.change, backfill=self.desk.change.backfills[0], search_path="public")

    def _writing(self, held: Run, conn: Any) -> Any:
        return record_definition(held, conn, self.desk.change, self.desk.change.backfills[0], "public")


@pytest.mark.every_server
def test_a_row_gets_the_key_at_which_its_object_is_proven_to_be(database: str, tmp_path: Path) -> None:
    """Foretold before anything is there; listed with what stands in the target row; written as it was copied."""
    execute(database, SOURCE)
    moving = Rows(project(tmp_path, database))
    assert {("moved", ""): 3} == terms(moving.desk, planned=True)
    assert [
        (["1"], "picture", "", "a/one.PNG", "", "restored/j1/1{ext}"),
        (["2"], "picture", "", "a/two", "", "restored/j1/2{ext}"),
    ] == moving.ready().listed()
    moving.record()
    assert {"1": ("moved", "1"), "2": ("moved", "2"), "3": ("moved", "3")} == moving.copy()
    assert NEW_KEYS == rows_of(database, MADE)
    assert {} == dict(moving.compared().counts)
    moving.back()
    assert [] == rows_of(database, MADE)


def test_each_thing_that_can_go_wrong_quarantines_the_row_under_its_name(database: str, tmp_path: Path) -> None:
    """The row keeps back, with the object's key and what the copy said; the others go over."""
    bad = [one for one in Outcome if not one.good]
    lines = ", ".join(f"({n}, 'j', 'a/{n}.jpg')" for n in range(1, len(bad) + 3))
    execute(database, "CREATE TABLE old (id bigint PRIMARY KEY, job text, url text)")
    execute(database, f"INSERT INTO old VALUES {lines}")
    moving = Rows(project(tmp_path, database)).ready()
    moving.record(Outcome.THERE.value, detail="the store said no")
    for n, one in enumerate(bad, 1):
        rows_of(database, "UPDATE migrator.object SET outcome = %s WHERE source_key = %s", [one.value, [str(n)]])
    execute(
        database, f"UPDATE migrator.object SET outcome = 'of a later version' WHERE source_key = '{{{len(bad) + 1}}}'"
    )
    expected = {str(n): ("quarantined", f"picture: {one.value}") for n, one in enumerate(bad, 1)}
    expected |= {
        str(len(bad) + 1): ("quarantined", f"picture: {WAITING}"),
        str(len(bad) + 2): ("moved", str(len(bad) + 2)),
    }
    assert expected == moving.copy()
    said = rows_of(database, "SELECT message FROM migrator.quarantine WHERE source_key = '{1}'")
    assert [("a/1.jpg: the store said no",)] == said
    # Known to be bad, it is foretold; only what nobody knows yet is not.
    execute(database, "DELETE FROM migrator.quarantine WHERE source_key <> '{1}'")
    foretold = terms(moving.desk, planned=True)
    assert 1 == foretold[("pending", f"to be quarantined: picture: {bad[1].value}")]
    assert 1 == foretold[("pending", "to be moved or merged")]


def test_a_row_waits_for_its_object_and_goes_when_that_is_there(database: str, tmp_path: Path) -> None:
    """No record, and none with an outcome: the row waits, which is foretold for nobody and gives nobody a key."""
    execute(database, SOURCE)
    moving = Rows(project(tmp_path, database)).ready()
    waiting = ("quarantined", f"picture: {WAITING}")
    assert {"1": waiting, "2": waiting, "3": ("moved", "3")} == moving.copy()
    execute(database, "DELETE FROM migrator.quarantine")
    assert {("moved", ""): 1, ("pending", "to be moved or merged"): 2} == terms(moving.desk)
    moving.record(None)
    assert {"1": waiting, "2": waiting, "3": ("moved", "3")} == moving.copy()
    execute(database, "DELETE FROM migrator.quarantine; UPDATE migrator.object SET outcome = 'copied', extension = ''")
    moving.copy()
    assert [(1, "restored/j1/1"), (2, "restored/j1/2"), (3, None)] == rows_of(database, MADE)


OTHERS = [
    "from_key = from_key || 'x'",
    "to_key = 'restored/' || to_key",
    "from_bucket = 'elsewhere'",
    "to_bucket = 'elsewhere'",
    "kind = 'document'",
    "change = 'another'",
    "backfill = 'another'",
    "name = 'another'",
    "source_key = ARRAY['9' || source_key[1]]",
    "outcome = NULL",
]


def test_only_the_record_of_this_very_object_counts(database: str, tmp_path: Path) -> None:
    """One of another object, from or to another place, or of another row, proves nothing."""
    execute(database, "CREATE TABLE old (id bigint PRIMARY KEY, job text, url text)")
    execute(database, f"INSERT INTO old SELECT n, 'j', 'a/' || n FROM generate_series(0, {len(OTHERS)}) AS n")
    moving = Rows(project(tmp_path, database)).ready()
    moving.record()
    for n, other in enumerate(OTHERS, 1):
        execute(database, f"UPDATE migrator.object SET {other} WHERE source_key = '{{{n}}}'")
    waiting = {str(n): ("quarantined", f"picture: {WAITING}") for n in range(1, len(OTHERS) + 1)}
    assert {"0": ("moved", "0"), **waiting} == moving.copy()


def test_taken_on_later_the_keys_catch_up_and_taken_off_they_go_back(database: str, tmp_path: Path) -> None:
    """Verification names the rows that are behind, in both directions, and nothing else of them changes."""
    execute(database, SOURCE)
    moving = Rows(project(tmp_path, database, wanted=False)).ready()
    assert [] == moving.listed()
    moving.copy()
    assert OLD_KEYS == rows_of(database, MADE)
    assert {} == dict(moving.compared().counts)
    moving = Rows(project(tmp_path, database))
    # Nothing is copied yet: the rows are behind, and stay as they are.
    found = moving.compared()
    assert {"stale": 2} == dict(found.counts)
    assert {f"picture: {WAITING}"} == {one.note for one in found.rows}
    assert {} == moving.catch_up()
    assert OLD_KEYS == rows_of(database, MADE)
    moving.record()
    found = moving.compared()
    assert {("a/one.PNG", "restored/j1/1.jpg"), ("a/two", "restored/j1/2.jpg")} == {
        (one.columns[0].found, one.columns[0].expected) for one in found.rows
    }
    assert {"updated": 2} == moving.catch_up()
    assert NEW_KEYS == rows_of(database, MADE)
    assert {} == dict(moving.compared().counts)
    assert {("moved", ""): 3} == terms(moving.desk)
    moving = Rows(project(tmp_path, database, wanted=False))
    assert {"stale": 2} == dict(moving.compared().counts)
    assert {"updated": 2} == moving.catch_up()
    assert OLD_KEYS == rows_of(database, MADE)
    assert {} == dict(moving.compared().counts)
    moving.back()
    assert [(0,)] == rows_of(database, "SELECT count(*) FROM new")


def test_a_new_declaration_needs_new_copies(database: str, tmp_path: Path) -> None:
    """Under another key nothing is proven; when it is, the rows follow."""
    execute(database, SOURCE)
    moving = Rows(project(tmp_path, database)).ready()
    moving.record()
    moving.copy()
    other = "{'picture': moved_object('url', to='pictures/{id}.jpg', to_bucket='archive')}"
    moving = Rows(project(tmp_path, database, objects=other))
    assert {"stale": 2} == dict(moving.compared().counts)
    assert {} == moving.catch_up()
    assert NEW_KEYS == rows_of(database, MADE)
    assert [("archive", "pictures/1.jpg"), ("archive", "pictures/2.jpg")] == [one[4:] for one in moving.listed()]
    moving.record()
    assert {"updated": 2} == moving.catch_up()
    assert [(1, "pictures/1.jpg"), (2, "pictures/2.jpg"), (3, None)] == rows_of(database, MADE)


def test_a_row_that_cannot_move_for_another_reason_says_that_and_has_no_object(database: str, tmp_path: Path) -> None:
    """Rules, faults and merging come before objects: these are judged last, and listed only of rows that move."""
    execute(
        database,
        "CREATE TABLE old (id bigint PRIMARY KEY, job text, url text, mail text);"
        " INSERT INTO old VALUES (1, 'j', 'a/1', 'skip'), (2, 'j', 'a/2', 'guard'), (3, NULL, 'a/3', 'c'),"
        " (4, 'j', 'a/4', 'd'), (5, 'j', 'a/5', 'e')",
    )
    moving = Rows(
        project(
            tmp_path,
            database,
            ddl="CREATE TABLE new (id int PRIMARY KEY, job_id text NOT NULL, s3_key text NOT NULL, mail text UNIQUE)",
            columns={**COLUMNS, "mail": "column('mail')"},
            skip="{'left out': sql(\"mail = 'skip'\")}",
            quarantine="{'kept back': sql(\"mail = 'guard'\")}",
            merge="'mail'",
        )
    ).ready()
    execute(database, "INSERT INTO new VALUES (90, 'theirs', 'their key', 'd')")
    assert [["5"]] == [one[0] for one in moving.listed()]
    expected = {
        "2": ("quarantined", "kept back"),
        "3": ("quarantined", "job_id: NULL is not allowed"),
        "4": ("merged", "90"),
        "5": ("quarantined", f"picture: {WAITING}"),
    }
    assert expected == moving.copy()
    # A merged row has no object to wait for; it is what it was declared to be.
    execute(database, "DELETE FROM migrator.quarantine WHERE source_key = '{5}'")
    moving.record()
    assert {**expected, "5": ("moved", "5")} == moving.copy()
    assert {} == dict(moving.compared().counts)
    assert ["5"] == [one[0][0] for one in moving.listed()]
    assert [("their key",), ("restored/j/5.jpg",)] == rows_of(database, "SELECT s3_key FROM new ORDER BY id DESC")


def test_a_key_that_no_object_can_have_is_foretold(database: str, tmp_path: Path) -> None:
    """A field that is NULL, a source without a name, keys that are too long, a field that looks like the extension."""
    execute(
        database,
        "CREATE TABLE old (id bigint PRIMARY KEY, job text, url text); INSERT INTO old VALUES (1, NULL, 'a/1'),"
        " (2, 'j', ''), (3, repeat('ö', 507), 'a/3'), (4, 'j', repeat('x', 1025)), (5, '{ext}', 'a/5'),"
        " (6, 'j', repeat('x', 1024))",
    )
    moving = Rows(project(tmp_path, database))
    assert {("moved", ""): 1, ("quarantined", "picture: no object can have this name"): 5} == terms(
        moving.desk, planned=True
    )
    assert [["6"]] == [one[0] for one in moving.ready().listed()]


def test_every_object_of_a_row_must_be_there_also_one_that_no_column_names(database: str, tmp_path: Path) -> None:
    """What is known to be bad is said before what is only waited for."""
    execute(database, SOURCE.replace("'a/two', NULL", "'a/two', 's/two.mp3'"))
    both = f"{{'picture': {PICTURE}, 'sound': moved_object('sound', to='sounds/{{id}}{{ext}}', bucket='tapes')}}"
    moving = Rows(project(tmp_path, database, objects=both)).ready()
    assert [("picture", ""), ("picture", ""), ("sound", "tapes")] == [one[1:3] for one in moving.listed()]
    moving.record()
    execute(database, "UPDATE migrator.object SET outcome = NULL WHERE name = 'picture' AND source_key = '{2}'")
    execute(database, "UPDATE migrator.object SET outcome = 'too large' WHERE name = 'sound'")
    assert ("quarantined", "sound: too large") == moving.copy()["2"]
    execute(
        database, "DELETE FROM migrator.quarantine; UPDATE migrator.object SET outcome = 'copied' WHERE name = 'sound'"
    )
    assert ("quarantined", f"picture: {WAITING}") == moving.copy()["2"]
    execute(database, "DELETE FROM migrator.quarantine; UPDATE migrator.object SET outcome = 'there already'")
    assert ("moved", "2") == moving.copy()["2"]


JOBS = """
CREATE TABLE jobs (id text PRIMARY KEY, s3_key text, state text);
INSERT INTO jobs VALUES ('a', 'old/a.jpg', 'x'), ('b', 'old/b.jpg', 'x'), ('c', NULL, 'x')"""
IN_PLACE = """
backfill = Backfill(
    source="jobs", key="id", target="jobs",
    objects={"picture": moved_object("s3_key", to="new/{state}/{id}{ext}", only_if=param("copy_objects", bool))},
    columns={"s3_key": object_key("picture", otherwise="s3_key"), "state": sql("upper(state)")},
)
"""


@pytest.mark.every_server
def test_in_place_an_object_is_where_it_was_before_the_row_was_written(database: str, tmp_path: Path) -> None:
    """The column that is written is the one that is read: the record is of the key from before, as long as it stays."""
    execute(database, JOBS)

    def moving(*, wanted: bool = True) -> Rows:
        made = {"ddl_up": "SELECT", "ddl_down": "SELECT 1", "params": {"copy_objects": wanted}}
        return Rows(make_project(tmp_path, database, backfills={MOVE: IN_PLACE}, **made))

    was, seen = rows_of(database, "SELECT * FROM jobs ORDER BY id"), "SELECT s3_key FROM jobs ORDER BY id"
    listed = [
        (["a"], "picture", "", "old/a.jpg", "", "new/X/a{ext}"),
        (["b"], "picture", "", "old/b.jpg", "", "new/X/b{ext}"),
    ]
    here = moving().ready()
    assert listed == here.listed()
    here.record()
    assert {"moved"} == {fate for fate, _ in here.copy().values()}
    assert [("new/X/a.jpg",), ("new/X/b.jpg",), (None,)] == rows_of(database, seen)
    assert listed == here.listed()
    assert {} == dict(here.compared().counts)
    assert {} == here.catch_up()
    assert {"updated": 2} == moving(wanted=False).catch_up()
    assert [("old/a.jpg",), ("old/b.jpg",), (None,)] == rows_of(database, seen)
    assert {"updated": 2} == moving().catch_up()
    here.back()
    assert was == rows_of(database, "SELECT * FROM jobs ORDER BY id")


def test_in_place_a_row_whose_object_is_bad_later_does_without_it_once_that_is_accepted(
    database: str, tmp_path: Path
) -> None:
    """It keeps its old key, waits in quarantine beside, and is proven with that key when it was dismissed."""
    execute(database, JOBS)
    made = {"ddl_up": "SELECT", "ddl_down": "SELECT 1"}
    was = rows_of(database, "SELECT * FROM jobs ORDER BY id")
    without = Rows(make_project(tmp_path, database, backfills={MOVE: IN_PLACE}, params={"copy_objects": False}, **made))
    assert {"moved"} == {fate for fate, _ in without.ready().copy().values()}
    here = Rows(make_project(tmp_path, database, backfills={MOVE: IN_PLACE}, params={"copy_objects": True}, **made))
    here.record(Outcome.MISSING.value)
    assert {"stale": 2} == dict(here.compared().counts)
    assert {} == here.catch_up()
    assert {("moved", ""): 1, ("quarantined", "picture: object missing"): 2} == terms(here.desk)
    execute(database, "UPDATE migrator.object SET outcome = 'copied', extension = '.jpg' WHERE source_key = '{a}'")
    assert {"updated": 1} == here.catch_up()
    assert {("moved", ""): 2, ("quarantined", "picture: object missing"): 1} == terms(here.desk)
    execute(database, "UPDATE migrator.quarantine SET status = 'dismissed'")
    assert {} == dict(here.compared().counts)
    assert {("moved", ""): 2, ("dismissed", "picture: object missing"): 1} == terms(here.desk)
    seen = "SELECT s3_key FROM jobs ORDER BY id"
    assert [("new/X/a.jpg",), ("old/b.jpg",), (None,)] == rows_of(database, seen)
    assert [["a"]] == [one[0] for one in here.listed()]
    here.back()
    assert was == rows_of(database, "SELECT * FROM jobs ORDER BY id")


def test_of_a_group_only_the_winner_has_an_object_and_the_others_wait_with_it(database: str, tmp_path: Path) -> None:
    """Rows that follow are merged into what the winner became; where its object is bad, none of them moves."""
    execute(
        database,
        "CREATE TABLE old (id bigint PRIMARY KEY, job text, url text); INSERT INTO old VALUES (1, 'j', 'a/1.jpg'),"
        " (2, 'j', 'a/2.jpg'), (3, 'k', 'a/3.jpg'), (4, 'k', 'a/4.jpg')",
    )
    moving = Rows(project(tmp_path, database, group="grouped(by='job', order='id')")).ready()
    assert [["1"], ["3"]] == [one[0] for one in moving.listed()]
    moving.record()
    execute(database, "UPDATE migrator.object SET outcome = 'object missing' WHERE source_key = '{3}'")
    cannot = ("quarantined", "the row it belongs to could not move")
    assert {
        "1": ("moved", "1"),
        "2": ("merged", "1"),
        "3": ("quarantined", "picture: object missing"),
        "4": cannot,
    } == moving.copy()
    assert {} == dict(moving.compared().counts)
    assert [["1"], ["3"]] == [one[0] for one in moving.listed()]


def test_a_key_may_stand_inside_another_expression(database: str, tmp_path: Path) -> None:
    """A fragment, a flag and a field of jsonb take it; marks and faults of a source are those of its object."""
    execute(database, SOURCE)
    columns = {
        "id": "column('id')",
        "job_id": "column('job')",
        "s3_key": "sql(\"'cdn/' || {key}\", key=object_key('picture', otherwise=missing('none')))",
        "sound_key": "flagged(object_key('picture'), when=sql('true'), reason='is its picture')",
    }
    source = "flagged(lookup('url', {'a/one.PNG': 'a/one.PNG', None: None}), when=sql('id = 1'), reason='is checked')"
    objects = f"{{'picture': moved_object({source}, to='{{job}}/{{id}}.jpg')}}"
    moving = Rows(project(tmp_path, database, columns=columns, objects=objects)).ready()
    moving.record()
    assert ("quarantined", "picture: unknown word") == moving.copy()["2"]
    assert [(1, "cdn/j1/1.jpg", "j1/1.jpg"), (3, None, None)] == rows_of(
        database, "SELECT id, s3_key, sound_key FROM new ORDER BY id"
    )
    (balance,) = use_cases.verify_counts(moving.desk).balances
    assert {"picture is checked": 1, "sound_key is its picture": 1} == dict(balance.flags)


WRONG = [
    ({"objects": "{'p': moved_object('url', to='x/{jobs}')}"}, "M272", "{jobs} is no column of its row"),
    ({"objects": "{'p': moved_object('url', to='x/{job_id}')}", "volatile": "'job_id'"}, "M272", "is volatile"),
    ({"objects": "{'p': moved_object('url', to='x/{s3_key}')}"}, "M272", "is itself the key of an object"),
    ({"objects": "{'p': moved_object('urls', to='x/{id}')}"}, "M113", 'object "p": old has no column "urls"'),
    ({"objects": "{'p': moved_object(sql('nothing(url)'), to='x/{id}')}"}, "M114", 'object "p", source: '),
    ({"objects": "{'p': moved_object('url', to='x/{id}', bucket=sql('1 +'))}"}, "M114", 'object "p", bucket: '),
    ({"objects": "{'p': moved_object(sql('clock_timestamp()'), to='x/{id}')}"}, "M120", "can differ between runs"),
    ({"objects": "{'p': moved_object(clock(), to='x/{id}')}"}, "M120", "object p reads the clock"),
    ({"documents": "{'d': document('x/{what}', 'job')}"}, "M272", 'document "d": {what} is no column of its row'),
    ({"documents": "{'d': document('x/{id}', sql('nothing()'))}"}, "M114", 'document "d", content: '),
]


def test_what_cannot_be_compiled_is_told_with_its_place(database: str, tmp_path: Path) -> None:
    """Also of objects that are not wanted now: nobody finds out on the day."""
    execute(database, SOURCE)
    columns = {**COLUMNS, "s3_key": "object_key('p')"}
    sound = {"objects": "{'p': moved_object('url', to='{id}')}"}
    run(project(tmp_path, database, columns=columns, **sound), to=Phase.EXPAND)
    for changed, id, said in WRONG:
        for switch in ("", ", only_if=param('copy_objects', bool, default=False)"):
            parts = {name: one.replace(")}", f"{switch})}}") for name, one in {**sound, **changed}.items()}
            desk = project(tmp_path, database, wanted=False, columns=columns, **parts)
            with pytest.raises(ConfigurationError) as caught:
                use_cases.plan(desk, count=False)
            assert (id, True) == (caught.value.id, said in caught.value.what), (changed, caught.value.what)


def test_fields_are_the_values_that_the_target_row_gets(database: str, tmp_path: Path) -> None:
    """As text, after every cast; of columns that the target lacks, the values of the source."""
    execute(
        database,
        "CREATE TYPE mood AS ENUM ('so so', '100%'); CREATE TABLE old (a text, b int, at text, \"My Key\" text, n text,"
        " PRIMARY KEY (a, b)); INSERT INTO old VALUES ('x|y', 1, '2026-01-02 03:04:05+02', 'a/%41 +ü', '007'),"
        " ('', 2, '2026-01-02', 'a/b', 'seven')",
    )
    columns = {
        "id": "derived_uuid()",
        "at": "column('at')",
        "n": "column('n')",
        "mood": "rules('mood', rule('first', when=sql('b = 1'), value='so so'), otherwise=constant('100%'))",
        "s3_key": "object_key('p')",
    }
    source = definition(
        columns,
        key="('a', 'b')",
        objects="{'p': moved_object('My Key', to='{a}/{b}/{at}/{n}/{mood}/{My Key}', bucket=sql(\"nullif(a, '')\"))}",
    )
    ddl = "CREATE TABLE new (id uuid PRIMARY KEY, at timestamptz, n smallint, mood mood, s3_key varchar(60))"
    moving = Rows(make_project(tmp_path, database, ddl_up=ddl, ddl_down="DROP TABLE new", backfills={MOVE: source}))
    foretold = {("moved", ""): 1, ("quarantined", "n: not a valid smallint"): 1}
    assert foretold == terms(moving.desk, planned=True)
    key = "x|y/1/2026-01-02 01:04:05+00/7/so so/a/%41 +ü"
    assert [(["x|y", "1"], "p", "x|y", "a/%41 +ü", "", key)] == moving.ready().listed()
    moving.record()
    moving.copy()
    assert [(key,)] == rows_of(database, "SELECT s3_key FROM new")
    assert {} == dict(moving.compared().counts)


NASTY = [
    "plain.JPG", "a b+c%20d|e.png", "%2525", "100% sure", "{id}", "{}", "}{", "it's \"quoted\"", "back\\slash",
    "\\N", "$1 $$", "%s %(x)s", ":name ::text", "~migrator near", "/*", "-- x", "é ü", "\u212b\u00c5A\u030a",
    "\U0001f600.jpeg", "new\nline.gif", "tab\t", " leading and trailing ", "a/../b", "//", ".", "..jpg",
    "x.tar.gz", ".hidden", "dir.d/file", "f.12345678901", "f.ÄÖ", "f.jp g", "f.jpg?x=1.PnG", "f.jpg\n", "NULL",
    "0", "'; DROP TABLE old; --",
]  # fmt: skip


def test_keys_are_taken_letter_by_letter(database: str, tmp_path: Path) -> None:
    """Whatever stands in a row: what is listed, found again and written is the template as Python fills it."""
    execute(database, "CREATE TABLE old (id bigint PRIMARY KEY, job text, url text)")
    with closing(psycopg.connect(database, autocommit=True)) as conn, conn.cursor() as cursor:
        cursor.executemany("INSERT INTO old VALUES (%s, %s, %s)", [(n, one, one) for n, one in enumerate(NASTY, 1)])
    objects = "{'picture': moved_object('url', to='it\\'s %s \\\\ $1/{job_id}/{id}{ext}.{ext}', to_bucket='b\\'s')}"
    moving = Rows(project(tmp_path, database, objects=objects)).ready()
    to = {n: f"it's %s \\ $1/{one}/{n}" for n, one in enumerate(NASTY, 1)}
    listed = [([str(n)], "picture", "", one, "b's", f"{to[n]}{{ext}}.{{ext}}") for n, one in enumerate(NASTY, 1)]
    assert sorted(listed) == moving.listed()
    with closing(moving.desk.database.connect()) as conn, transaction(conn, read_only=True, search_path="public"):
        prepared = prepare(conn, moving.desk.change, moving.desk.change.backfills[0], search_path="public")
        foreseen = dict(rows(conn, f"SELECT id, s3_key FROM ({prepared.projection.foreseeing.select()}) AS p"))
    own = {n: own_extension(one) for n, one in enumerate(NASTY, 1)}
    assert {n: f"{to[n]}{own[n]}.{own[n]}" for n in to} == foreseen
    moving.record(extension=".heic")
    moving.copy()
    assert [(n, f"{one}.heic..heic") for n, one in to.items()] == rows_of(database, MADE)
    assert {} == dict(moving.compared().counts)


def test_rows_that_compete_or_point_are_foretold_as_if_their_objects_were_there(database: str, tmp_path: Path) -> None:
    """The first of two rows with one value has it, unless its object can have no name; others may point at it."""
    execute(
        database,
        "CREATE TABLE old (id bigint PRIMARY KEY, job text, url text, mail text);"
        " INSERT INTO old VALUES (1, 'j', 'a/1', 'a'), (2, 'j', 'a/2', 'b'), (3, 'k', 'a/3', 'c'),"
        " (4, NULL, 'a/4', 'd'), (5, 'm', 'a/5', 'd')",
    )
    backfills = {
        MOVE: definition(
            {**COLUMNS, "s3_key": "object_key('picture')", "mail": "column('mail')"},
            objects="{'picture': moved_object('url', to='{job_id}.jpg')}",
        ),
        "seen_from_old": definition({"id": "column('id')"}, target="'seen'"),
    }
    ddl = "CREATE TABLE new (id bigint PRIMARY KEY, job_id text, s3_key text UNIQUE, mail text UNIQUE);"
    ddl += "CREATE TABLE seen (id bigint PRIMARY KEY REFERENCES new)"
    desk = make_project(tmp_path, database, ddl_up=ddl, ddl_down="DROP TABLE seen, new", backfills=backfills)
    contested, nothing = "s3_key: another row holds this value", "id: no such row in new"
    unnamed = ("quarantined", "picture: no object can have this name")
    assert {("moved", ""): 3, ("quarantined", contested): 1, unnamed: 1} == terms(desk, planned=True)
    assert {("moved", ""): 3, ("quarantined", nothing): 2} == terms(desk, "seen_from_old", planned=True)
    moving = Rows(desk).ready()
    moving.record(Outcome.CONTESTED.value)
    told = {f"picture: {Outcome.CONTESTED.value}": 4, unnamed[1]: 1}
    assert {("pending", f"to be quarantined: {why}"): n for why, n in told.items()} == terms(desk, planned=True)
    assert {("quarantined", nothing): 5} == terms(desk, "seen_from_old", planned=True)


def test_what_was_handed_over_keeps_its_key_and_its_object(database: str, tmp_path: Path) -> None:
    """It is the application's: nothing of it is listed again, though the definition says another key now."""
    execute(database, SOURCE)
    moving = Rows(project(tmp_path, database, handed_over="True")).ready()
    moving.record()
    moving.copy()
    assert [] == moving.listed()
    other = Rows(project(tmp_path, database, objects="{'picture': moved_object('url', to='{id}')}", handed_over="True"))
    assert [] == other.listed()
    assert {} == dict(other.compared().counts)
    assert NEW_KEYS == rows_of(database, MADE)


def test_documents_are_of_rows_that_moved_and_know_their_new_keys(database: str, tmp_path: Path) -> None:
    """Their content is as the row gives it; a row whose content is NULL, or that did not move, has none."""
    execute(database, SOURCE + "; INSERT INTO old VALUES (4, NULL, 'a/4', NULL)")
    made = "CASE WHEN id <> 3 THEN jsonb_build_object('key', {key}, 'id', id) END"
    meta = f"document('meta/{{id}}.json', sql({made!r}, key=object_key('picture')))"
    none = "document('{id}', 'job', only_if=param('no', bool, default=False))"
    documents = f"{{'meta': {meta}, 'none': {none}}}"
    moving = Rows(project(tmp_path, database, documents=documents)).ready()
    moving.record()
    moving.copy()
    with running(moving.desk, "test", silent) as (held, conn), transaction(conn, read_only=True, search_path="public"):
        prepared = prepare(conn, moving.desk.change, moving.desk.change.backfills[0], search_path="public")
        found = sorted(rows(conn, prepared.writing(held.lease.run).documents(None, None)))
    assert [
        (["1"], "meta", "", "meta/1.json", '{"id": 1, "key": "restored/j1/1.jpg"}'),
        (["2"], "meta", "", "meta/2.json", '{"id": 2, "key": "restored/j1/2.jpg"}'),
    ] == found


def test_each_object_of_a_row_costs_one_lookup_by_index(database: str, tmp_path: Path) -> None:
    """However many records there are, and whatever the server believes of them."""
    execute(database, "CREATE TABLE old (id bigint PRIMARY KEY, job text, url text)")
    execute(database, "INSERT INTO old SELECT n, 'j', 'a/' || n FROM generate_series(1, 3000) AS n")
    moving = Rows(project(tmp_path, database)).ready()
    moving.record()
    for analyzed in ("", "ANALYZE old, migrator.object"):
        execute(database, analyzed or "SELECT")
        with running(moving.desk, "test", silent) as (_, conn), transaction(conn, search_path="public"):
            prepared = prepare(conn, moving.desk.change, moving.desk.change.backfills[0], search_path="public")
            executed(conn, "SET LOCAL jit = off")
            told = [str(one) for (one,) in rows(conn, f"EXPLAIN (ANALYZE, TIMING OFF) {prepared.projection.select()}")]
        (scan,) = (one for one in told if " on object " in one)
        assert "Index Scan using" in scan
        assert "loops=3000" in scan


def test_plan_says_from_where_to_where_objects_go(database: str, tmp_path: Path) -> None:
    """And whether they are wanted."""
    execute(database, SOURCE)
    documents = "{'meta': document('meta/{id}.json', sql('to_jsonb(old)'), bucket='facts')}"
    desk = project(tmp_path, database, documents=documents)
    said = {"picture": "url → restored/{job_id}/{id}{ext}", "meta": "to_jsonb(old) → facts: meta/{id}.json"}
    assert {MOVE: said} == use_cases.plan(desk).moving
    desk = project(tmp_path, database, wanted=False)
    assert {MOVE: {"picture": f"{said['picture']}; not wanted: copy_objects is not true"}} == use_cases.plan(
        desk
    ).moving
