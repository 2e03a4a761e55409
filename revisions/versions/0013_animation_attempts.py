"""Create animation_attempts, one row per animation of a restored photo; a job knows its latest."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UPGRADE = (
    """
    CREATE TABLE public.animation_attempts (
        id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
        job_id UUID NOT NULL REFERENCES public.jobs (id) ON DELETE CASCADE,
        restore_id UUID REFERENCES public.restore_attempts (id),
        preview_s3_key TEXT NOT NULL,
        result_s3_key TEXT,
        thumb_s3_key TEXT,
        model TEXT,
        params JSONB,
        created_at TIMESTAMPTZ DEFAULT now()
    )
    """,
    "CREATE INDEX idx_animation_attempts_job_id ON public.animation_attempts (job_id)",
    "CREATE INDEX idx_animation_attempts_restore_id ON public.animation_attempts (restore_id)",
    # The other half of the circle. Both tables are new, so nobody waits while it is checked.
    """
    ALTER TABLE public.jobs
        -- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid
        ADD CONSTRAINT fk_jobs_latest_animation
        FOREIGN KEY (latest_animation_id) REFERENCES public.animation_attempts (id)
    """,
)

# The pointer goes first: a table that is pointed to cannot be dropped.
DOWNGRADE = (
    "ALTER TABLE public.jobs DROP CONSTRAINT fk_jobs_latest_animation",
    "DROP TABLE public.animation_attempts",
)


def upgrade() -> None:
    """Create the table, and close the circle between it and jobs."""
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Open the circle, and drop the table with every row in it."""
    for statement in DOWNGRADE:
        op.execute(statement)
