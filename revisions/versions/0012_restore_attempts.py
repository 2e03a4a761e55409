"""Create restore_attempts, one row per attempt to restore a photo; a job may select one."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UPGRADE = (
    """
    CREATE TABLE public.restore_attempts (
        id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
        job_id UUID NOT NULL REFERENCES public.jobs (id) ON DELETE CASCADE,
        s3_key TEXT NOT NULL,
        model TEXT,
        params JSONB,
        created_at TIMESTAMPTZ DEFAULT now()
    )
    """,
    "CREATE INDEX idx_restore_attempts_job_id ON public.restore_attempts (job_id)",
    # The other half of the circle. Both tables are new, so nobody waits while it is checked.
    """
    ALTER TABLE public.jobs
        -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
        ADD CONSTRAINT fk_jobs_selected_restore
        FOREIGN KEY (selected_restore_id) REFERENCES public.restore_attempts (id)
    """,
)

# The pointer goes first: a table that is pointed to cannot be dropped.
DOWNGRADE = (
    "ALTER TABLE public.jobs DROP CONSTRAINT fk_jobs_selected_restore",
    "DROP TABLE public.restore_attempts",
)


def upgrade() -> None:
    """Create the table, and close the circle between it and jobs."""
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Open the circle, and drop the table with every row in it."""
    for statement in DOWNGRADE:
        op.execute(statement)
