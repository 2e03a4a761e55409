"""The photo restoration's legacy database: every planted class has its planted number, and meets its fate."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING
from urllib.parse import unquote

import psycopg
import pytest

from migrator.demo.jobs_and_attempts import (
    PLANTED_NEW,
    build_legacy,
    build_new_application_rows,
    digest,
    fates,
    job_id,
    picture_id,
    planted,
)
from migrator.demo.jobs_and_attempts.fates import ATTEMPTS, JOBS, SELECTED
from migrator.demo.jobs_and_attempts.mix import FORMS, MIX, PRESIGNED_LENGTH, SUBJECTS
from migrator.model.step import Phase
from migrator.workflow import change_steps, use_cases
from tests.support.projects import back, rows_of, run, terms
from tests.support.restoration import desk_on, legacy, moved
from tests.support.scratch import beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.databases import Databases

EXPECTED = planted()

COUNTS = {
    "rows": "true",
    "of_nobody": "user_id = 'auth0|68d1f00d0000000000000e05'",
    "without_created": "created_at IS NULL",
    "without_date": "created_at IS NULL AND updated_at IS NULL",
    "completed_without_updated": "lower(status::text) = 'completed' AND updated_at IS NULL",
    "completed_without_picture": "lower(status::text) = 'completed' AND processed_image_url = ''",
    "presigned": f"length(processed_image_url) = {PRESIGNED_LENGTH}",
    "encoded": "lower(status::text) = 'completed' AND split_part(processed_image_url, '?', 1) ~ '%'",
    "encoded_twice": "lower(status::text) = 'completed' AND processed_image_url ~ '%25'",
    "failed_with_picture": "lower(status::text) = 'failed' AND processed_image_url <> ''",
    "running_with_picture": "lower(status::text) = 'processing' AND processed_image_url <> ''",
    "stale": "lower(status::text) = 'processing'"
    " AND created_at < (SELECT max(created_at) FROM restoration_jobs) - interval '24 hours'",
}


@pytest.fixture(autouse=True)
def quickly(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at what revisions declare on databases beside."""
    with ExitStack() as stack:
        monkeypatch.setattr(change_steps, "declare", beside(databases, stack))
        yield


@pytest.mark.parametrize("upper", [True, False], ids=["of the ORM", "of the revision"])
def test_what_is_planted_is_there_and_its_fate_is_foretold(database: str, *, upper: bool) -> None:
    """In both spellings each class has its number, and each row goes where it must."""
    legacy(database, upper=upper)
    labels = "SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum"
    words = "pending processing completed failed"
    assert [(words.upper() if upper else words,)] == rows_of(database, labels)
    asked = ", ".join(f"count(*) FILTER (WHERE {one})" for one in COUNTS.values())
    found = dict(zip(COUNTS, rows_of(database, f"SELECT {asked} FROM restoration_jobs")[0], strict=True))
    assert {name: getattr(EXPECTED, name) for name in COUNTS} == found
    status = "SELECT lower(status::text), count(*) FROM restoration_jobs GROUP BY 1"
    assert dict(EXPECTED.status) == dict(rows_of(database, status))
    assert len(FORMS) == 8
    assert len(SUBJECTS) == 12

    desk = desk_on(database)
    for name, fate in fates(expanded=False).items():
        _agrees(terms(desk, name, planned=True), fate.moved, fate.merged, fate.quarantined)


def test_every_row_meets_its_fate_and_goes_back(database: str) -> None:
    """Each row is where it must be, each key is the one that was planted; the old table is the same at every point."""
    legacy(database)
    before = _digest(database)
    desk = moved(database)
    balances = {one.backfill: one for one in use_cases.verify_counts(desk).balances}
    for name, fate in fates().items():
        _agrees(terms(desk, name), fate.moved, fate.merged, fate.quarantined, held="dismissed")
        if name == SELECTED:
            continue
        remarks = {text: n for text, n in balances[name].flags.items() if ": " not in text or "kept in params" in text}
        assert dict(fate.flags) == remarks
    keys = rows_of(database, "SELECT job_id::text, s3_key FROM restore_attempts")
    words_of_it = {"pending", "failed"}
    assert _expected_keys() == {key: said for key, said in keys if said not in words_of_it}
    counted = {word: sum(said == word for _, said in keys) for word in words_of_it}
    assert dict(fates()[ATTEMPTS].keys) == {**counted, "picture": len(keys) - sum(counted.values())}
    assert before == _digest(database)
    back(desk)
    assert before == _digest(database)
    assert [("restoration_jobs",)] == rows_of(
        database, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND relname <> 'alembic_version'"
    )  # fmt: skip


def test_the_same_seed_makes_the_same_rows(database: str) -> None:
    """Ids, pictures and times follow from the seed and the number of the row; any number of rows can be made."""
    with closing(psycopg.connect(database, autocommit=True)) as conn:
        build_legacy(conn, rows=250)
        first = digest(conn)
        ids = {str(one) for (one,) in conn.execute("SELECT id FROM restoration_jobs").fetchall()}
        assert {job_id(place) for place in range(250)} == ids
        for seed, same in ((1, True), (2, False)):
            conn.execute("DROP TABLE restoration_jobs; DROP TYPE jobstatus")
            build_legacy(conn, seed=seed, rows=250)
            assert same is (digest(conn) == first)
    assert {"restoration_jobs": 250} == {"restoration_jobs": planted(rows=250).rows}


def test_the_new_application_has_written_already(database: str) -> None:
    """One job copied by hand and jobs of its own, with the empty attempts that it leaves, and an animation."""
    legacy(database)
    run(desk_on(database), to=Phase.EXPAND)
    with closing(psycopg.connect(database)) as conn, conn:
        build_new_application_rows(conn)
    for name, fate in fates(in_use=True, expanded=False).items():
        _agrees(terms(desk_on(database), name, planned=True), fate.moved, fate.merged, fate.quarantined)
    assert [(PLANTED_NEW.live + PLANTED_NEW.jobs, PLANTED_NEW.restore_attempts, PLANTED_NEW.animation_attempts)] == (
        rows_of(
            database,
            "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM restore_attempts),"
            " (SELECT count(*) FROM animation_attempts)",
        )
    )
    assert fates(in_use=True)[JOBS].merged == PLANTED_NEW.live


def _digest(url: str) -> str:
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        return digest(conn)


def _agrees(
    found: Mapping[tuple[str, str], int], moved: int, merged: int, kept: Mapping[str, int], *, held: str = "quarantined"
) -> None:
    wanted = {("moved", ""): moved, ("merged", ""): merged}
    if held == "dismissed":
        assert sum(kept.values()) == sum(n for (what, _), n in found.items() if what == held)
    else:
        wanted |= {(held, reason): number for reason, number in kept.items()}
    left = {"dismissed", "skipped"}
    assert {one: n for one, n in wanted.items() if n} == {one: n for one, n in found.items() if one[0] not in left}


def _expected_keys() -> dict[str, str]:
    """Say by job the key of each finished picture, worked out in Python from what was planted."""
    made = {}
    for place, one in enumerate(MIX):
        if one.status == "completed" and one.address is not None and one.processed_image_url:
            made[job_id(place)] = unquote(one.key).replace("#", picture_id(place, "processed"))
    return made
