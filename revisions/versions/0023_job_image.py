"""Let "Job"."imageId" point at "Image", for what is written from now on."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the foreign key as Prisma does, without looking at the rows: the lock is short."""
    op.execute(
        """
        ALTER TABLE public."Job"
            ADD CONSTRAINT "Job_imageId_fkey" FOREIGN KEY ("imageId") REFERENCES public."Image" ("id")
            ON DELETE SET NULL ON UPDATE CASCADE NOT VALID
        """
    )


def downgrade() -> None:
    """Drop the foreign key."""
    op.execute('ALTER TABLE public."Job" DROP CONSTRAINT "Job_imageId_fkey"')
