"""Add PROCESSING and STORED to "ImageStatus", in a transaction of their own."""

from __future__ import annotations

from alembic import context, op
from alembic.util import CommandError

from migrator.database.revision_objects import expect_labels

revision = "0021"
down_revision = None
branch_labels = ("phase_2_jobs",)
depends_on = None

ENUM = 'public."ImageStatus"'
OLD = ("UPLOADED", "INGESTED", "FAILED")
NEW = ("UPLOADED", "INGESTED", "PROCESSING", "STORED", "FAILED")

# A client of Phase 1 throws on every image with a label it does not know: going back, these become INGESTED. The
# tool counts such rows, has them accepted by name, and keeps their values in the Ledger.
narrows = (('public."Image"', "status", ("PROCESSING", "STORED"), "INGESTED"),)

# A new label cannot be used in the transaction that adds it. So nothing else stands in this revision.
UPGRADE = (
    f"ALTER TYPE {ENUM} ADD VALUE 'PROCESSING' BEFORE 'FAILED'",
    f"ALTER TYPE {ENUM} ADD VALUE 'STORED' BEFORE 'FAILED'",
)

# No label can be dropped, so the type is made anew; changing the column rewrites the table and its indexes.
DOWNGRADE = (
    f'ALTER TYPE {ENUM} RENAME TO "ImageStatus_of_phase_2"',
    f"CREATE TYPE {ENUM} AS ENUM ('UPLOADED', 'INGESTED', 'FAILED')",
    f"""
    ALTER TABLE public."Image" ALTER COLUMN "status" TYPE {ENUM} USING (
        CASE WHEN "status"::text IN ('PROCESSING', 'STORED') THEN 'INGESTED' ELSE "status"::text END)::{ENUM}
    """,
    'DROP TYPE public."ImageStatus_of_phase_2"',
)


def upgrade() -> None:
    """Add the two labels where they belong, to a type that is as Phase 1 left it."""
    expect_labels(ENUM, OLD)
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Make the type of three labels again; images that hold one of the others become INGESTED."""
    expect_labels(ENUM, NEW)
    refuse_by_hand()
    for statement in DOWNGRADE:
        op.execute(statement)


def refuse_by_hand() -> None:
    """Refuse under `alembic` by hand while there are such images: only the tool keeps what they were."""
    if context.is_offline_mode() or "change" in context.config.attributes:
        return
    asked = """SELECT count(*) FROM public."Image" WHERE "status"::text IN ('PROCESSING', 'STORED')"""
    number = op.get_bind().exec_driver_sql(asked).scalar_one()
    if number:
        message = f"{number} images are PROCESSING or STORED. Use: migrator rollback phase_2_jobs"
        raise CommandError(message)
