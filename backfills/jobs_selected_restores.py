"""jobs → jobs: a moved job shows its picture, by a pointer to the attempt that made it.

Tables that point at each other are filled in turn: the jobs, the attempts of them, and then this pointer in place. What
the new application has chosen, and jobs of its own, stay as they are; from then on it may choose again.
"""

from __future__ import annotations

from migrator.model import Backfill, sql

PICTURE = sql(
    """(SELECT attempt.id FROM restore_attempts AS attempt
        WHERE attempt.job_id = jobs.id AND attempt.params ->> 'legacy_status' = 'completed'
        ORDER BY attempt.created_at, attempt.id LIMIT 1)"""
)

backfill = Backfill(
    source="jobs",
    key="id",
    target="jobs",
    handed_over=True,
    skip={
        "a job of the new application": sql("NOT EXISTS (SELECT FROM restoration_jobs AS old WHERE old.id = jobs.id)"),
        "an attempt is chosen already": sql("jobs.selected_restore_id IS NOT NULL"),
        "no attempt of it made a picture": sql("{picture} IS NULL", picture=PICTURE),
    },
    columns={"selected_restore_id": PICTURE},
)
