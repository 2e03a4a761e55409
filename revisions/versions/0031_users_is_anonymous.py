"""Let users say whether they are anonymous; of users that are there already nothing is said yet."""

from __future__ import annotations

from alembic import op

revision = "0031"
down_revision = None
branch_labels = ("artworks_v2",)
depends_on = None

# Without a default: ADD COLUMN with one fills every row that is there, and would call registered users anonymous. The
# old sign-up goes on inserting users and does not know the column, so a default has to wait for the switch; until then
# whoever makes an anonymous user says so, and what nobody said is filled by the backfill.
UPGRADE = (
    "ALTER TABLE public.users ADD COLUMN is_anonymous BOOLEAN",
    """
    COMMENT ON COLUMN public.users.is_anonymous IS
        'Whether the user was made for an e-mail address alone, and never registered'
    """,
    "CREATE INDEX idx_users_folded_email ON public.users (lower(btrim(email)))",
)

DOWNGRADE = (
    "DROP INDEX public.idx_users_folded_email",
    "ALTER TABLE public.users DROP COLUMN is_anonymous",
)


def upgrade() -> None:
    """Add the column, empty, and the index by which an address is found however it is spelled."""
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Take both away, and what was said of users with them."""
    for statement in DOWNGRADE:
        op.execute(statement)
