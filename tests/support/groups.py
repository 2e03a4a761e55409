"""Groups as plain Python understands them: who wins, who follows, and what a row found later does to that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from migrator.workflow.desk import Desk
from tests.support.projects import back, check, execute, fates, one_table, run, terms

Drawn = list[tuple[str | None, int | None, str]]
CANNOT, FOLLOWS = "the row it belongs to could not move", "another row of its group stands for it"
FAULT = "violates check new_what_check"
PARTS = {
    "group": "grouped(by='mail', order=('at', 'what'))",
    "skip": "{'test': sql(\"what = 'test'\")}",
    "quarantine": "{'odd': sql(\"what = 'odd'\")}",
}


@dataclass(frozen=True)
class Row:
    """A row of the source; `what` says whether a rule takes it, or whether it is at fault."""

    id: int
    mail: str | None
    at: int | None
    what: str


def reference(waves: Iterable[Sequence[Row]]) -> dict[str, tuple[str, str]]:
    """Say what becomes of each row: (moved or merged, target key), (quarantined, reason), (skipped, rule)."""
    winners: dict[str, Row] = {}
    found: dict[str, tuple[str, str]] = {}
    for rows in waves:
        for row in sorted(rows, key=lambda one: (one.at is None, one.at or 0, one.what, one.id)):
            if row.what in {"odd", "test"}:
                found[str(row.id)] = ("quarantined", "odd") if row.what == "odd" else ("skipped", "test")
                continue
            winner = row if row.mail is None else winners.setdefault(row.mail, row)
            kind = "moved" if winner is row else "merged"
            fault = ("quarantined", FAULT if winner is row else CANNOT)
            found[str(row.id)] = fault if winner.what == "wrong" else (kind, str(winner.id))
    return found


def counted(found: dict[str, tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Count as a Balance does."""
    reasons = {"moved": "", "merged": FOLLOWS}
    return Counter((fate, reasons.get(fate, said)) for fate, said in found.values())


def values(rows: Iterable[Row]) -> str:
    """Write rows as an INSERT."""
    said = [f"({r.id}, {_sql(r.mail)}, {_sql(r.at)}, {_sql(r.what)})" for r in rows]
    return f"INSERT INTO old VALUES {', '.join(said)}" if said else "SELECT"


def _sql(value: str | int | None) -> str:
    return "NULL" if value is None else f"'{value}'"


def project(tmp_path: Path, url: str, **more: object) -> Desk:
    """Make the source, empty, and the project."""
    return one_table(
        tmp_path,
        url,
        columns="mail text, at int, what text",
        target="mail text, at int, what text CHECK (what <> 'wrong')",
        rows=(),
        parts=PARTS,
        **more,
    )


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "", None]),
        st.sampled_from([1, 2, 3, None]),
        st.sampled_from(["fine", "fine", "also", "test", "odd", "wrong"]),
    ),
    max_size=25,
)


def there_and_back(desk: Desk, first: Drawn, later: Drawn) -> None:
    """Assert that rows fare as the reference says: foretold, done, added to, proven, and undone."""
    url = desk.database.url
    numbers = [n * 7919 % 101 for n in range(1, 101)]
    made = [Row(number, *one) for number, one in zip(numbers, first + later, strict=False)]
    waves = [made[: len(first)], made[len(first) :]]
    execute(url, f"TRUNCATE old; {values(waves[0])}")
    assert counted(reference(waves[:1])) == terms(desk, planned=True)
    run(desk)
    for upto in (1, 2):
        expected = reference(waves[:upto])
        assert counted(expected) == terms(desk)
        assert {key: one for key, one in expected.items() if one[0] != "skipped"} == fates(desk)
        assert not check(desk).comparisons[0].counts
        execute(url, values(waves[1]) if upto == 1 else "SELECT")
        run(desk)
    back(desk)
