"""Look at all rows: every "Job"."imageId" points at an image."""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Validate the foreign key, under a lock that lets readers and writers go on."""
    op.execute('ALTER TABLE public."Job" VALIDATE CONSTRAINT "Job_imageId_fkey"')


def downgrade() -> None:
    """Make it a foreign key again that nobody looked at."""
    op.execute('ALTER TABLE public."Job" DROP CONSTRAINT "Job_imageId_fkey"')
    op.execute(
        """
        ALTER TABLE public."Job"
            ADD CONSTRAINT "Job_imageId_fkey" FOREIGN KEY ("imageId") REFERENCES public."Image" ("id")
            ON DELETE SET NULL ON UPDATE CASCADE NOT VALID
        """
    )
