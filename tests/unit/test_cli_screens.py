"""The screens: real renderings of sample values, as people see them."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

import pytest

from migrator.cli.render import errors, losses, plan, report, status
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
    Comparison,
    SourceBalance,
    Term,
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
COMPARISON = Comparison(
    backfill="v", source="multitalk_jobs", target="video_jobs", compared=10, counts={}, rows=(), foreign=3, seconds=0.5
)
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


def test_a_plan_shows_where_objects_go():
    """Each object that a definition declares has a line: from where, to which key."""
    going = {"v": {"video": "url → videos/{id}{ext}", "meta": "an expression → meta/{id}.json"}}
    copy = PlannedStep(phase=Phase.BACKFILL, name="objects of v", title="objects of video_jobs ← multitalk_jobs")
    shown = plan.plan(replace(PLAN, moving=going, steps=(copy, *PLAN.steps)))
    at = shown.index("Objects      video  url → videos/{id}{ext}")
    assert "             meta   an expression → meta/{id}.json" == shown[at + 1]


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
        comparisons=(COMPARISON,),
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


def test_an_archive_names_the_way_on_and_the_way_back():
    """What was proven before is not told claim by claim again; the verbs after an archive are named."""
    given = Report(
        change="c",
        verb="archive",
        database="studio",
        state=State.ARCHIVED,
        comparisons=(COMPARISON,),
        verdicts=(
            Verdict(claim="every row is as declared", proven=True, evidence="10 rows"),
            Verdict(claim="check: no name is empty", proven=True, evidence="no row"),
        ),
        notes=("old is now _archived_old; kept until Friday",),
        next=("migrator drop c", "migrator rollback c --to verify"),
    )
    expected = """\
        c · archive · database studio · now archived

        ✓ 1 check holds
        ✓ proven: 10 rows compared in both directions, beside 3 rows of the application's own (0.5 s)
        ! old is now _archived_old; kept until Friday

        Next, when its time is over:  migrator drop c
        To have it back:              migrator rollback c --to verify"""
    assert text(report.report(given)) == dedent(expected)
    failing = replace(given, state=State.COPIED, verdicts=(replace(given.verdicts[0], proven=False),), next=())
    assert "✗ every row is as declared: 10 rows" in report.report(failing)


def test_a_plan_of_an_archive_says_what_concerns_it():
    """An archive's plan shows SQL, hazards and what stands in the way, and nothing of how rows were moved."""
    step = replace(PLAN.steps[0], phase=Phase.ARCHIVE, title="old → _archived_old")
    given = replace(PLAN, steps=(step,), balances=(), bytes_needed=None, notes=("M432 not yet",))
    expected = """\
        output_type_tables · guide 001 · database studio on db:5432 (PostgreSQL 16.4) · now new
        Tables per output type

         #  phase    step                 rows  locks
         1  archive  old → _archived_old        none on tables in use

        -- 1 archive: old → _archived_old
        CREATE TABLE video_jobs ()

        Hazards      H104  rows are visible to everybody
                           cure: give a user map
        Undo         every step can be undone
        Note         M432 not yet

        Next, when nobody needs the old tables: migrator archive output_type_tables"""
    assert text(plan.plan(given, sql=True, verb="archive")) == dedent(expected)


def test_flags_of_a_target_stand_together():
    """What several backfills remark on the same target is counted once, and a line breaks between parts."""
    twice = (replace(BALANCE, recorded=False), replace(BALANCE, source="more", recorded=False))
    shown = plan.plan(replace(PLAN, balances=twice), width=80)
    assert "Flags        video_jobs  34  workflow_name defaulted" in shown
    assert shown[:2] == [
        "output_type_tables · guide 001 · database studio on db:5432 (PostgreSQL 16.4) ·",
        "  now new",
    ]


def test_nothing_to_do_is_said():
    """A second apply says that there was nothing to do."""
    given = Report(change="c", verb="apply", database="studio", state=State.VERIFIED)
    assert text(report.report(given)) == "c · apply · database studio · now verified\n\nNothing to do."


def test_losses_are_counted_by_cause():
    """What would be lost is counted by its cause, with examples."""
    found = [
        Losses(
            target="video_jobs",
            foreign=6,
            changed=1,
            cascades={"likes": 2},
            examples={"foreign": ("7c22", "7c23"), "changed": ("7c24",)},
        ),
        Losses(target="image_jobs"),
    ]
    assert losses.losses(found) == [
        "Rolling back would lose",
        "  9 rows of video_jobs:",
        "    6 written by the application: 7c22, 7c23, …",
        "    1 of ours that the application has changed since: 7c24",
        "    2 rows of likes that refer to them",
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
            reasons=("stale", "old is now _archived_old and " * 4 + "kept"),
            next="migrator apply a",
        ),
        ChangeStatus(change="b", state=State.NEW, next="migrator plan b"),
    ]
    expected = """\
        change  state    since  rows         next
        a       copying  10:14  68 % of 100  migrator apply a
        b       new      \u2013      \u2013            migrator plan b
        a: stale
        a: old is now _archived_old and old is now _archived_old and old is now _archived_old and old is now
          _archived_old and kept
        lease of a: ci-7: pid 812"""
    assert text(status.status(given)) == dedent(expected)
    assert "quarantine" in status.status([replace(given[0], quarantined=3)])[0]
    assert status.status([]) == ["There is no change yet."]


@pytest.mark.parametrize("width", [60, 70, 80, 90, 100])
def test_screens_fit_the_width(width):
    """No line is wider than the terminal, but for commands; a step's title is whole where lines are short."""
    title = '"Sales" ← OrderLine: a name that is long enough'
    step = StepReport(
        phase=Phase.BACKFILL,
        name="sales",
        title=title,
        rows=60_000,
        seconds=36.0,
        detail={"moved": 39_544, "quarantined": 20_456},
    )
    narrow = replace(
        Report(change="sales", verb="apply", database="shop", state=State.COPIED), steps=(step,), balances=(BALANCE,)
    )
    assert title in text(report.report(narrow, width=width))
    screens = [
        *plan.plan(PLAN, width=width),
        *report.report(narrow, width=width),
    ]
    assert [line for line in screens if len(line) > width and "migrator " not in line] == []
