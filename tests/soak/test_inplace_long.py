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

ROWS, KILLS, ROUNDS = 4_000, 6, 3
FILL = """
backfill = Backfill(
    source="old", key="id", target="old",
    columns={"code": sql("coalesce(code, '') || '/' || note"), "note": sql("upper(note)")},
)
"""


class Application(threading.Thread):
    """Writes rows one after the other, written columns and others, and knows what it wrote last."""

    def __init__(self, url: str, seed: int) -> None:
        """Prepare it."""
        super().__init__(daemon=True)
        self.url, self.chance, self.done = url, random.Random(seed), threading.Event()
        self.wrote: dict[int, str] = {}
        self.deleted: set[int] = set()

    def run(self) -> None:
        """Write until it is told to end."""
        with closing(psycopg.connect(self.url, autocommit=True)) as conn:
            number = 0
            while not self.done.is_set():
                number, key = number + 1, self.chance.randrange(1, ROWS + 1)
                if key in self.deleted:
                    continue
                if number % 50 == 0:
                    conn.execute("DELETE FROM old WHERE id = %s", (key,))
                    self.deleted.add(key)
                    continue
                value = f"app {number}"
                conn.execute("UPDATE old SET code = %s, seen = seen + 1 WHERE id = %s", (value, key))
                self.wrote[key] = value

    def end(self) -> None:
        """Let it end."""
        self.done.set()
        self.join(60)


def test_no_write_of_the_application_is_lost(database: str, tmp_path: Path) -> None:
    """After killed copies and an undo each row holds what the application wrote last, or what stood there."""
    execute(database, "CREATE TABLE old (id bigint PRIMARY KEY, code text, note text NOT NULL, seen int DEFAULT 0)")
    execute(database, f"INSERT INTO old SELECT n, 'code ' || n, 'note ' || n FROM generate_series(1, {ROWS}) AS n")
    settings = {"batch_rows": 100, "workers": 2, "range_rows": 700}
    desk = make_project(
        tmp_path, database, ddl_up="SELECT 1", ddl_down="SELECT 1", backfills={"fill": FILL}, settings=settings
    )
    chance = random.Random(11)
    application = Application(database, 12)
    application.start()
    try:
        for _ in range(ROUNDS):
            for _ in range(KILLS):
                with Child("apply", tmp_path, database, desk.change.name) as child:
                    child.heard("progress backfill", chance.randrange(1, 9))
                    child.kill()
            run(desk)
            back(desk, to=Phase.EXPAND, keep_new=True)
    finally:
        application.end()
    assert application.wrote
    found = {key: (code, note) for key, code, note, _ in rows_of(database, "SELECT * FROM old")}
    assert set(found) == set(range(1, ROWS + 1)) - application.deleted
    assert {} == {
        key: (code, application.wrote.get(key))
        for key, (code, _) in found.items()
        if code != application.wrote.get(key, f"code {key}")
    }
    assert [(0, 0)] == rows_of(database, "SELECT count(*), count(*) FROM migrator.before_image")
