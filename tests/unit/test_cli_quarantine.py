"""Quarantine as people see it: how many rows wait for what, and one of them in full."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from migrator.cli.render import quarantine
from migrator.ledger.quarantine import Entry

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


def text(lines):
    """Write lines as one text."""
    return "\n".join(lines)


def test_quarantine_is_counted_and_named():
    """Quarantine shows how many rows wait for what, the first of them, and what can be done."""
    counts = [("video_jobs_from_multitalk_jobs", "status: unknown word", "open", 1)]
    shown = text(quarantine.overview("c", counts, [ENTRY]))
    assert "   1  open    video_jobs_from_multitalk_jobs  status: unknown word" in shown
    assert " 4  open    multitalk_jobs  5f0c  status: unknown word: canceled" in shown
    assert "more" not in shown
    three = text(quarantine.overview("c", [(*counts[0][:3], 3)], [replace(ENTRY, sqlstate="22P02")]))
    assert " 4  open    multitalk_jobs  5f0c  canceled" in three
    assert "… and 2 more: --limit N names more of them" in three
    assert "migrator quarantine show c --id 4" in shown
    assert quarantine.overview("c", [], []) == ["Nothing is in quarantine."]


def test_a_quarantined_row_is_shown_in_full():
    """One row shows why it waits, and all its values with NULL as NULL."""
    shown = quarantine.entry(ENTRY)
    assert "why         status: unknown word" in shown
    assert shown[-2:] == ["  job_id  5f0c", "  prompt  NULL"]
