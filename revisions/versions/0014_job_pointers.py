"""Index the pointers of jobs: without, every attempt that is deleted is looked for in all jobs."""

from __future__ import annotations

from alembic import op

from migrator.database.revision_objects import built_before

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Not in the guide. The tables may be in use already, so the tool builds them CONCURRENTLY before it runs the revision.
concurrent_indexes = (
    "CREATE INDEX idx_jobs_selected_restore_id ON public.jobs USING btree (selected_restore_id)",
    "CREATE INDEX idx_jobs_latest_animation_id ON public.jobs USING btree (latest_animation_id)",
)


def upgrade() -> None:
    """Make sure of the indexes."""
    built_before(concurrent_indexes)


def downgrade() -> None:
    """Drop them."""
    op.execute("DROP INDEX public.idx_jobs_selected_restore_id")
    op.execute("DROP INDEX public.idx_jobs_latest_animation_id")
