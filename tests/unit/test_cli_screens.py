"""The screens: real renderings of sample values, as people see them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from textwrap import dedent

import pytest

from migrator.cli.render import balance, errors, fates, losses, plan, proof, quarantine, report, status
from migrator.ledger.quarantine import Entry
from migrator.model.step import (
    ChangeStatus,
    Hazard,
    Losses,
    Phase,
    Plan,
    PlannedStep,
    Preview,
    Report,
    State,
    StepReport,
)
from migrator.model.verdict import (
    Balance,
    ColumnDifference,
    Comparison,
    RowVerdict,
    SourceBalance,
    Term,
    Unaccounted,
    Verdict,
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
PLAN = Plan(
    change="output_type_tables",
    title="Tables per output type",
    guide="001",
    database="postgresql://app@db:5432/studio",
    server="PostgreSQL 16.4",
    state=State.NEW,
    steps=(
        PlannedStep(
            phase=Phase.EXPAND,
            name="0001",
            title="create video_jobs",
            preview=Preview(sql=("CREATE TABLE video_jobs ()",), locks="none on tables in use"),
        ),
        PlannedStep(phase=Phase.BACKFILL, name="v", title="video_jobs ← multitalk_jobs", rows=5_000_000),
    ),
    balances=(replace(BALANCE, recorded=False),),
    hazards=(Hazard(id="H104", what="rows are visible to everybody", cure="give a user map"),),
    missing={"v": {"user_id": "never recorded"}},
    undo=("every step can be undone",),
    bytes_needed=3_100_000_000,
)


def text(lines):
    """Write lines as one text."""
    return "\n".join(lines)


def test_a_plan_is_shown_whole():
    """A plan shows steps, fates, what to know, and the next command last."""
    expected = """\
        output_type_tables · guide 001 · database studio on db:5432 (PostgreSQL 16.4) · now new
        Tables per output type
        Needs about 3.1 GB of room on the server's disk.

         #  phase     step                              rows  locks
         1  expand    create video_jobs                       none on tables in use
         2  backfill  video_jobs ← multitalk_jobs  5,000,000  none

        Where the 5,000,000 rows of multitalk_jobs will go
          moved        4,588,310  video_jobs 4,588,310
          merged             412  video_jobs 412
          skipped              0
          quarantined     11,278  unknown status "canceled" (9,004) · created_at is NULL (2,274)
          unaccounted          0

        Flags        video_jobs  17  workflow_name defaulted
        Left NULL    user_id  never recorded
        Hazards      H104  rows are visible to everybody
                           cure: give a user map
        Undo         every step can be undone

        Nothing was changed. Next: migrator apply output_type_tables --dry-run"""
    assert text(plan.plan(PLAN)) == dedent(expected)


def test_a_plan_shows_the_sql_of_each_step():
    """With --sql the statements stand under the title of their step."""
    shown = text(plan.plan(PLAN, sql=True))
    assert "-- 1 expand: create video_jobs\nCREATE TABLE video_jobs ()" in shown


def test_a_dry_run_says_what_was_evaluated():
    """A dry run says that the server held it READ ONLY, and the next command has no --dry-run."""
    shown = text(plan.plan(replace(PLAN, dry_run=True)))
    assert "READ ONLY" in shown
    assert shown.endswith("Next: migrator apply output_type_tables")


def test_a_plan_without_work_says_so():
    """Where every step is done there is nothing to do."""
    done = replace(PLAN, steps=tuple(replace(one, done=True) for one in PLAN.steps))
    shown = text(plan.plan(done))
    assert "Nothing to do." in shown
    assert shown.endswith("Next: migrator verify output_type_tables")


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


def test_a_report_ends_with_the_next_command():
    """A report shows steps, settled balances in short, claims, and what comes next."""
    given = Report(
        change="c",
        verb="apply",
        database="postgresql://db/studio",
        state=State.VERIFIED,
        steps=(
            StepReport(
                phase=Phase.BACKFILL,
                name="v",
                title="video_jobs ← multitalk_jobs",
                rows=10,
                detail={"read": 10, "moved": 10, "merged": 0},
                seconds=0.2,
            ),
        ),
        balances=(SETTLED,),
        sources=(SOURCE,),
        comparisons=(replace(COMPARISON, counts={}, rows=()),),
        verdicts=(Verdict(claim="every row is as declared", proven=True, evidence="10 rows"),),
        notes=("the proof is not recorded",),
        next=("migrator status",),
    )
    expected = """\
        c · apply · database studio on db · now verified

        ✓  backfill  video_jobs ← multitalk_jobs  10 rows  moved 10  0.2 s

                                     source rows  moved  merged  skipped  quarantined  unaccounted
        video_jobs ← multitalk_jobs           10     10       0        0            0            0

        ✓ every row is as declared: 10 rows
        ✓ every row is accounted for, in one snapshot (3.1 s)
        ✓ proven: 10 rows compared in both directions, beside 3 rows of the application's own (0.5 s)
        ! the proof is not recorded

        Next: migrator status"""
    assert text(report.report(given)) == dedent(expected)


def test_nothing_to_do_is_said():
    """A second apply says that there was nothing to do."""
    given = Report(change="c", verb="apply", database="studio", state=State.VERIFIED)
    assert text(report.report(given)) == "c · apply · database studio · now verified\n\nNothing to do."


def test_losses_are_counted_by_cause():
    """What would be lost is counted by its cause, with examples."""
    found = [
        Losses(target="video_jobs", foreign=6, changed=1, cascades={"likes": 2}, examples=("7c22",)),
        Losses(target="image_jobs"),
    ]
    assert losses.losses(found) == [
        "Rolling back would lose",
        "  9 rows of video_jobs: 6 written by the application; 1 of ours that the application has changed",
        "    since; 2 rows of likes that refer to them",
        "    for example 7c22",
    ]
    assert losses.losses(found[1:]) == ["Nothing would be lost."]


def test_an_error_keeps_commands_whole():
    """An error is folded, its commands are not, and one that is too long stands under its label."""
    cure = f"Keep them:    migrator rollback c --keep-new\nLose them:    migrator rollback c {'--lose x ' * 9}"
    assert errors.error("M412", "rollback would lose " + "many rows " * 5, cure.rstrip(), width=60) == [
        "M412 rollback would lose many rows many rows many rows many",
        "     rows many rows",
        "     Keep them:    migrator rollback c --keep-new",
        "     Lose them:",
        f"       migrator rollback c {'--lose x ' * 9}".rstrip(),
    ]


def test_status_is_one_line_for_each_change():
    """Status shows state, progress and the next command; reasons and the lease stand below."""
    given = [
        ChangeStatus(
            change="a",
            state=State.COPYING,
            since="10:14",
            rows=68,
            total=100,
            holder="ci-7: pid 812",
            reasons=("stale",),
            next="migrator apply a",
        ),
        ChangeStatus(change="b", state=State.NEW, next="migrator plan b"),
    ]
    expected = """\
        change  state    since  rows         next
        a       copying  10:14  68 % of 100  migrator apply a
        b       new      –      –            migrator plan b
        a: stale
        lease of a: ci-7: pid 812"""
    assert text(status.status(given)) == dedent(expected)
    assert "quarantine" in status.status([replace(given[0], quarantined=3)])[0]
    assert status.status([]) == ["There is no change yet."]


ENTRY = Entry(
    id=4,
    backfill="video_jobs_from_multitalk_jobs",
    source="multitalk_jobs",
    key=("5f0c",),
    reason="status: unknown word",
    sqlstate=None,
    constraint=None,
    message="canceled",
    row={"job_id": "5f0c", "prompt": None},
    status="open",
    note=None,
    at=datetime(2026, 11, 20, 10, 14, tzinfo=UTC),
)


def test_quarantine_is_counted_and_named():
    """Quarantine shows how many rows wait for what, the first of them, and what can be done."""
    counts = [("video_jobs_from_multitalk_jobs", "status: unknown word", "open", 1)]
    shown = text(quarantine.overview("c", counts, [ENTRY]))
    assert "   1  open    video_jobs_from_multitalk_jobs  status: unknown word" in shown
    assert " 4  open    multitalk_jobs  5f0c  canceled" in shown
    assert "migrator quarantine show c --id 4" in shown
    assert quarantine.overview("c", [], []) == ["Nothing is in quarantine."]


def test_a_quarantined_row_is_shown_in_full():
    """One row shows why it waits, and all its values with NULL as NULL."""
    shown = quarantine.entry(ENTRY)
    assert "why         status: unknown word" in shown
    assert shown[-2:] == ["  job_id  5f0c", "  prompt  NULL"]


@pytest.mark.parametrize("width", [80, 90, 100])
def test_screens_fit_the_width(width):
    """No line is wider than the terminal, but for commands."""
    screens = [
        *plan.plan(PLAN, width=width),
        *balance.balances([BALANCE], width=width),
        *proof.proof([COMPARISON], width=width),
    ]
    assert [line for line in screens if len(line) > width and "migrator " not in line] == []
