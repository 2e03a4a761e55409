"""In place beside an application that writes without pause, killed again and again: no write of anybody is lost."""

from __future__ import annotations

import random
import threading
from contextlib import closing
from pathlib import Path

import psycopg

from migrator.model.step import Phase
from tests.support.kills import Child
from tests.support.projects import back, execute, make_project, rows_of, run

ROWS, KILLS, ROUNDS, WRITERS = 4_000, 4, 4, 3
FILL = """
backfill = Backfill(
    source="old", key="id", target="old",
    columns={"code": sql("coalesce(code, '') || '/' || note"), "note": sql("upper(note)")},
)
"""


class Application(threading.Thread):
    """Writes every so-many-th row, one after the other by chance, and knows what it wrote last."""

    def __init__(self, url: str, number: int) -> None:
        """Prepare it."""
        super().__init__(daemon=True)
        self.url, self.number, self.chance = url, number, random.Random(number)
        self.keys = list(range(1 + number, ROWS + 1, WRITERS))
        self.done = threading.Event()
        self.wrote: dict[int, str] = {}

    def run(self) -> None:
        """Write until it is told to end; now and then a row goes."""
        with closing(psycopg.connect(self.url, autocommit=True)) as conn:
            while not self.done.is_set():
                key, value = self.chance.choice(self.keys), f"{self.number} {self.chance.random()}"
                if self.chance.random() < 0.005:
                    conn.execute("DELETE FROM old WHERE id = %s", (key,))
                    self.keys.remove(key)
                    continue
                conn.execute("UPDATE old SET code = %s, seen = seen + 1 WHERE id = %s", (value, key))
                self.wrote[key] = value


def test_no_write_of_the_application_is_lost(database: str, tmp_path: Path) -> None:
    """After killed copies and an undo each row holds what the application wrote last, or what stood there."""
    execute(database, "CREATE TABLE old (id bigint PRIMARY KEY, code text, note text NOT NULL, seen int DEFAULT 0)")
    execute(database, f"INSERT INTO old SELECT n, 'code ' || n, 'note ' || n FROM generate_series(1, {ROWS}) AS n")
    settings = {"batch_rows": 500, "workers": 2, "range_rows": 1_000}
    desk = make_project(
        tmp_path, database, ddl_up="SELECT 1", ddl_down="SELECT 1", backfills={"fill": FILL}, settings=settings
    )
    chance = random.Random(11)
    expected = {key: f"code {key}" for key in range(1, ROWS + 1)}
    for turn in range(ROUNDS):
        application = [Application(database, number) for number in range(WRITERS)]
        for one in application:
            one.keys = [key for key in one.keys if key in expected]
            one.start()
        for _ in range(KILLS if turn else 0):
            with Child("apply", tmp_path, database, desk.change.name) as child:
                child.heard("progress backfill", chance.randrange(1, 9))
                child.kill()
        run(desk)
        back(desk, to=Phase.EXPAND, keep_new=True)
        for one in application:
            one.done.set()
            one.join(60)
            assert one.wrote
            mine = set(range(1 + one.number, ROWS + 1, WRITERS)) - set(one.keys)
            expected = {key: said for key, said in (expected | one.wrote).items() if key not in mine}
        found = dict(rows_of(database, "SELECT id, code FROM old"))
        assert {} == {key: (found.get(key), said) for key, said in expected.items() if found.get(key) != said}
        assert set(found) == set(expected)
        assert [(0,)] == rows_of(database, "SELECT count(*) FROM migrator.before_image")
