"""Index "Job" as Prisma does, without stopping writers."""

from __future__ import annotations

from alembic import op

from migrator.database.revision_objects import built_before

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

# The tool builds them CONCURRENTLY before it runs the revision. That of the status is on the new column: renamed at
# the switch, it takes its index along, and what is on the old one goes with it.
concurrent_indexes = (
    'CREATE INDEX "Job_status_idx" ON public."Job" USING btree (status_new)',
    'CREATE INDEX "Job_imageId_idx" ON public."Job" USING btree ("imageId")',
    'CREATE INDEX "Job_type_idx" ON public."Job" USING btree (type)',
    'CREATE INDEX "Job_createdAt_idx" ON public."Job" USING btree ("createdAt")',
)


def upgrade() -> None:
    """Make sure of the indexes."""
    built_before(concurrent_indexes)


def downgrade() -> None:
    """Drop them."""
    for name in ("Job_status_idx", "Job_imageId_idx", "Job_type_idx", "Job_createdAt_idx"):
        op.execute(f'DROP INDEX public."{name}"')
