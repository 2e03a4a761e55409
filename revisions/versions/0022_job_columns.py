"""Add the columns of Phase 2 to "Job" and "Image", and status_new beside "Job"."status"."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# All of it is a change of the catalog alone: no row is rewritten, whatever the size of the tables.
UPGRADE = (
    """CREATE TYPE public."JobStatus" AS ENUM ('PENDING', 'RUNNING', 'COMPLETED', 'FAILED')""",
    """
    ALTER TABLE public."Job"
        ADD COLUMN "attempts" INTEGER NOT NULL DEFAULT 0,
        ADD COLUMN "maxAttempts" INTEGER NOT NULL DEFAULT 3,
        ADD COLUMN "lockedAt" TIMESTAMP(3),
        ADD COLUMN "lockedBy" TEXT,
        ADD COLUMN "lastError" TEXT,
        ADD COLUMN "imageId" TEXT,
        ADD COLUMN "status_new" public."JobStatus"
    """,
    """
    ALTER TABLE public."Image"
        ADD COLUMN "thumbnailPath" TEXT,
        ADD COLUMN "previewPath" TEXT
    """,
)

DOWNGRADE = (
    """
    ALTER TABLE public."Image"
        DROP COLUMN "thumbnailPath",
        DROP COLUMN "previewPath"
    """,
    """
    ALTER TABLE public."Job"
        DROP COLUMN "attempts",
        DROP COLUMN "maxAttempts",
        DROP COLUMN "lockedAt",
        DROP COLUMN "lockedBy",
        DROP COLUMN "lastError",
        DROP COLUMN "imageId",
        DROP COLUMN "status_new"
    """,
    'DROP TYPE public."JobStatus"',
)


def upgrade() -> None:
    """Add the columns; every job stays, with its status as it is."""
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Drop the columns and the type; "Job"."status" was never touched."""
    for statement in DOWNGRADE:
        op.execute(statement)
