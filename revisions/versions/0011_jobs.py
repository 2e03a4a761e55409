"""Create jobs, one row per photo that somebody uploaded."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = None
branch_labels = ("jobs_and_attempts",)
depends_on = None

# Its two pointers get their foreign keys with the tables that they point to.
TABLE = """
    CREATE TABLE public.jobs (
        id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
        email TEXT NOT NULL,
        created_at TIMESTAMPTZ DEFAULT now(),
        selected_restore_id UUID,
        latest_animation_id UUID
    )
"""

INDEX = "CREATE INDEX idx_jobs_email ON public.jobs (email)"


def upgrade() -> None:
    """Create the table with its index."""
    op.execute(TABLE)
    op.execute(INDEX)


def downgrade() -> None:
    """Drop what `upgrade` created, and with the table every row in it."""
    op.execute("DROP TABLE public.jobs")
