"""Values as JSON: the keys are a promise to whoever reads them by machine."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from migrator.model.step import Losses, Phase, Plan, PlannedStep, Preview, Report, State, StepReport
from migrator.model.verdict import Balance, Comparison, SourceBalance, Term, Verdict
from migrator.report.as_json import as_json, document

PLAN = Plan(
    change="c",
    title="t",
    guide="001",
    database="db",
    server="PostgreSQL 16.4",
    state=State.NEW,
    steps=(
        PlannedStep(phase=Phase.EXPAND, name="0001", title="make b", done=True),
        PlannedStep(phase=Phase.BACKFILL, name="b_from_a", title="b ← a", rows=7, preview=Preview(sql=("SELECT 1",))),
    ),
    missing={"b_from_a": {"x": "never recorded"}},
)
BALANCE = Balance(
    backfill="b_from_a", source="a", target="b", source_rows=7, terms=(Term(disposition="moved", rows=7),)
)
COMPARISON = Comparison(
    backfill="b_from_a", source="a", target="b", compared=7, counts={}, rows=(), foreign=0, seconds=0.5
)
REPORT = Report(
    change="c",
    verb="apply",
    database="db",
    state=State.VERIFIED,
    steps=(StepReport(phase=Phase.VERIFY, name="compare", title="compare", rows=7),),
    balances=(BALANCE,),
    sources=(SourceBalance(source="a", source_rows=7, taken=7, left_behind=0, unaccounted=0),),
    comparisons=(COMPARISON,),
    verdicts=(Verdict(claim="every row", proven=True, evidence="7 rows"),),
)


def test_the_keys_of_a_plan_are_stable():
    """A Plan keeps its keys: whoever reads them by machine relies on them."""
    assert set(as_json(PLAN)) == {
        "change", "title", "guide", "database", "server", "state", "steps", "balances", "sources", "hazards",
        "missing", "left_behind", "unread", "reads", "moving", "undo", "notes", "bytes_needed", "dry_run", "pending",
        "rows_pending",
    }  # fmt: skip
    assert set(as_json(PLAN)["steps"][0]) == {"phase", "name", "title", "rows", "done", "preview"}


def test_a_plan_says_what_is_pending():
    """What is worked out from a Plan stands beside its fields."""
    made = as_json(PLAN)
    assert made["pending"] == ["b_from_a"]
    assert made["rows_pending"] == 7
    assert made["state"] == "new"
    assert made["steps"][1]["preview"] == {"sql": ["SELECT 1"], "locks": "none", "blocks": ""}


def test_the_keys_of_a_report_are_stable():
    """A Report keeps its keys, and those of all that is inside it."""
    made = as_json(REPORT)
    assert set(made) == {
        "change", "verb", "database", "state", "steps", "balances", "sources", "comparisons", "verdicts", "hazards",
        "objects", "waiting", "notes", "next", "nothing_done", "proven",
    }  # fmt: skip
    assert set(made["steps"][0]) == {"phase", "name", "title", "rows", "unit", "detail", "seconds"}
    assert set(made["balances"][0]) == {
        "backfill", "source", "target", "source_rows", "terms", "unaccounted", "examples", "foreign", "target_rows",
        "flags", "recorded", "seconds", "closes",
    }  # fmt: skip
    assert set(made["sources"][0]) == {
        "source", "source_rows", "taken", "left_behind", "unaccounted", "examples", "closes",
    }  # fmt: skip
    assert set(made["comparisons"][0]) == {
        "backfill", "source", "target", "compared", "counts", "rows", "foreign", "seconds", "handed_over", "proven",
    }  # fmt: skip


def test_a_report_says_whether_it_is_proven():
    """Proven is true, false, or null where nothing was claimed."""
    nothing = Report(change="c", verb="apply", database="db", state=State.NEW)
    assert (as_json(REPORT)["proven"], as_json(REPORT)["nothing_done"]) == (True, False)
    assert (as_json(nothing)["proven"], as_json(nothing)["nothing_done"]) == (None, True)


def test_losses_carry_the_words_that_accept_them():
    """A machine can take the sentence for `--lose` from the document."""
    made = as_json(Losses(target="video_jobs", foreign=6, changed=1))
    assert (made["rows"], made["sentence"]) == (7, "7 rows of video_jobs")


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (datetime(2026, 11, 20, 10, 14, tzinfo=UTC), "2026-11-20T10:14:00+00:00"),
        (date(2026, 11, 20), "2026-11-20"),
        (timedelta(seconds=1.5), 1.5),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("a/b"), "a/b"),
        (b"\x00\xff", "AP8="),
        ({Phase.EXPAND: (1, None)}, {"expand": [1, None]}),
        (frozenset({"b", "a"}), ["a", "b"]),
    ],
)
def test_every_kind_of_value_has_one_form(value, made):
    """Moments, numbers, keys and sets of the model have a form that every reader knows."""
    assert as_json(value) == made


def test_a_value_without_a_form_is_refused():
    """What nobody thought of is no silent repr."""
    with pytest.raises(TypeError, match="object has no form in JSON"):
        as_json(object())


def test_a_document_is_json_with_its_letters():
    """A document reads back as it was, and keeps its letters readable."""
    assert json.loads(document(REPORT)) == as_json(REPORT)
    assert "←" in document(PLAN)
