"""Balances and proofs as people see them: every row with its reason, every difference with its key."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

import pytest

from migrator.cli.render import balance, fates, proof
from migrator.model.verdict import (
    Balance,
    ColumnDifference,
    Comparison,
    RowVerdict,
    SourceBalance,
    Term,
    Unaccounted,
)

BALANCE = Balance(
    backfill="video_jobs_from_multitalk_jobs",
    source="multitalk_jobs",
    target="video_jobs",
    source_rows=5_000_000,
    terms=(
        Term(disposition="moved", rows=4_588_310),
        Term(disposition="merged", rows=412),
        Term(disposition="skipped", rows=400_000, reason="an image job", elsewhere="image_jobs_from_multitalk_jobs"),
        Term(disposition="quarantined", rows=9_004, reason='unknown status "canceled"'),
        Term(disposition="quarantined", rows=2_274, reason="created_at is NULL"),
    ),
    target_rows=4_741_020,
    foreign=152_298,
    flags={"workflow_name defaulted": 17},
    seconds=3.1,
)
SETTLED = replace(
    BALANCE, source_rows=10, terms=(Term(disposition="moved", rows=10),), target_rows=10, foreign=0, flags={}
)
SOURCE = SourceBalance(source="multitalk_jobs", source_rows=10, taken=10, left_behind=0, unaccounted=0)


def text(lines):
    """Write lines as one text."""
    return "\n".join(lines)


def test_balances_stand_side_by_side():
    """The source stands at the left, the target at the right, with every reason."""
    expected = """\
        source multitalk_jobs                 5,000,000      target video_jobs                     4,741,020
          moved                               4,588,310        from multitalk_jobs                 4,588,310
          merged                                    412        merged                                    412
          skipped                               400,000        foreign (the application's)           152,298
            an image job →
            image_jobs_from_multitalk_jobs      400,000
          quarantined                            11,278
            unknown status "canceled"             9,004
            created_at is NULL                    2,274
          pending                                     0
          unaccounted                                 0

        flagged
          video_jobs  17  workflow_name defaulted"""
    assert text(balance.balances([BALANCE])) == dedent(expected)


def test_rows_of_other_backfills_are_counted_apart():
    """Target rows that another backfill moved are neither ours nor the application's."""
    shown = text(balance.balances([replace(SETTLED, target_rows=15, foreign=2)]))
    assert "from other backfills                        3" in shown


def test_backfills_that_go_the_same_way_are_told_by_name():
    """Where tables do not tell which one it is, its name stands above the Balance, in the table and in the dry run."""
    other = replace(SETTLED, backfill="previews")
    assert [SETTLED.backfill, other.backfill] == list(fates.names([SETTLED, other]).values())
    assert {"video_jobs ← multitalk_jobs"} == set(fates.names([SETTLED]).values())
    assert {"jobs in place"} == set(fates.names([replace(SETTLED, source="jobs", target="jobs")]).values())
    assert "\npreviews\nsource multitalk_jobs" in text(balance.balances([SETTLED, other]))
    assert "previews " in text(balance.short([SETTLED, other]))
    assert f"{SETTLED.backfill} 10 · previews 10" in text(fates.going([SETTLED, other], [], 100))


def test_unaccounted_rows_are_named():
    """What disagrees is named with its key, and how."""
    wrong = replace(SETTLED, unaccounted=2, examples=(Unaccounted(key=("7", "b"), why="the target row is gone"),))
    assert "    ✗ 7, b: the target row is gone" in balance.balances([wrong])
    assert "✗ 2 rows unaccounted, in one snapshot (3.1 s)" in list(balance.sentence([wrong], [], "c"))


def test_a_source_that_does_not_close_is_named():
    """Rows that no backfill takes are named, though each backfill closes by itself."""
    gap = replace(SOURCE, taken=9, unaccounted=1, examples=(Unaccounted(key=("7",), why="nobody takes it"),))
    assert list(balance.misplaced([gap])) == [
        "✗ 1 row of multitalk_jobs unaccounted over all backfills",
        "    ✗ 7: nobody takes it",
    ]


def test_quarantine_is_never_quiet():
    """Rows that wait are said, with the command that shows them."""
    said = list(balance.sentence([BALANCE], [], "c"))
    assert said == [
        "✓ every row is accounted for, in one snapshot (3.1 s)",
        "! 11,278 rows wait in quarantine: migrator quarantine list c",
    ]


def test_what_never_ran_is_not_called_accounted_for():
    """Foretold balances are no proof of anything."""
    assert not list(balance.sentence([replace(SETTLED, recorded=False)], [SOURCE], "c"))


def test_foretold_rows_of_another_backfill_are_not_left_behind():
    """A row that another backfill of the same source takes is in its own line only."""
    other = replace(SETTLED, target="image_jobs", terms=(Term(disposition="moved", rows=400_000),))
    shown = list(fates.going([BALANCE, other], [], 100))
    assert "  moved        4,988,310  video_jobs 4,588,310 · image_jobs 400,000" in shown
    assert "  skipped              0" in shown


COMPARISON = Comparison(
    backfill="video_jobs_from_multitalk_jobs",
    source="multitalk_jobs",
    target="video_jobs",
    compared=10,
    counts={"altered": 1, "lost": 1, "extra": 1, "doubled": 2},
    rows=(
        RowVerdict(
            kind="altered",
            source_key={"job_id": "5f0c"},
            columns=(
                ColumnDifference(column="output_video_urls", found="{NULL}", expected=None),
                ColumnDifference(column="prompt", found="", expected="x" * 60),
            ),
        ),
        RowVerdict(kind="lost", source_key={"job_id": "9a41"}, note="the target row is gone"),
        RowVerdict(kind="extra", target_key={"id": "7c22"}, note="its source row is gone"),
        RowVerdict(kind="doubled", source_key={"job_id": "1"}, target_key={"id": "2"}),
    ),
    foreign=3,
    seconds=0.5,
)


def test_a_difference_is_shown_by_key_and_column():
    """What differs is named by kind and key, and each column with what it is and should be."""
    expected = f"""\
        ✗ video_jobs: 5 rows differ from multitalk_jobs (altered 1 · lost 1 · extra 1 · doubled 2) · 3 rows
          of the application's own
            altered   job_id 5f0c
                output_video_urls  is {{NULL}}  should be NULL
                prompt             is ''      should be {"x" * 19}…{"x" * 20}
            lost      job_id 9a41   the target row is gone
            extra     id 7c22   its source row is gone
            doubled   job_id 1 → id 2
            … and 1 more"""
    assert text(proof.proof([COMPARISON])) == dedent(expected)


def test_what_is_proven_takes_one_line():
    """A proven comparison says how much was compared, and nothing else."""
    proven = replace(COMPARISON, counts={}, rows=(), foreign=0)
    assert text(proof.proof([proven])) == (
        "✓ video_jobs: 10 rows of multitalk_jobs compared in both directions, all as declared (0.5 s)"
    )


@pytest.mark.parametrize("width", [80, 90, 100])
def test_screens_fit_the_width(width):
    """No line is wider than the terminal, but for commands."""
    screens = [
        *balance.balances([BALANCE], width=width),
        *proof.proof([COMPARISON], width=width),
    ]
    assert [line for line in screens if len(line) > width and "migrator " not in line] == []
