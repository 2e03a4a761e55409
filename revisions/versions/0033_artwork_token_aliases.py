"""Create artwork_token_aliases: links in e-mails whose artwork is kept under another token."""

from __future__ import annotations

import logging

from alembic import context, op
from alembic.util import CommandError

from migrator.database.revision_parameters import parameter

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

log = logging.getLogger("alembic.runtime.migration")

TABLE = """
    CREATE TABLE public.artwork_token_aliases (
        access_token TEXT PRIMARY KEY,
        artwork_id UUID NOT NULL REFERENCES public.artworks_v2 (id) ON DELETE CASCADE,
        token_expires_at TIMESTAMPTZ NOT NULL,
        created_at TIMESTAMPTZ DEFAULT now()
    )
"""

INDEXES = ("CREATE INDEX idx_artwork_token_aliases_artwork ON public.artwork_token_aliases (artwork_id)",)

ROW_SECURITY = "ALTER TABLE public.artwork_token_aliases ENABLE ROW LEVEL SECURITY"

# A token opens an artwork, so nobody may list them; get_artwork_lifecycle looks up the one it is given.
POLICIES = (
    """
    CREATE POLICY "Service role can access all token aliases" ON public.artwork_token_aliases
        FOR ALL USING (auth.jwt() ->> 'role' = 'service_role')
    """,
)

COMMENTS = (
    """
    COMMENT ON TABLE public.artwork_token_aliases IS
        'Tokens of the second record that one upload used to make; the e-mail about the upload links to them'
    """,
    """
    COMMENT ON COLUMN public.artwork_token_aliases.token_expires_at IS
        'When the token itself expires, whatever the artwork''s own does'
    """,
)


def upgrade() -> None:
    """Create the table with all that belongs to it; without `auth` nobody but its owner sees it."""
    policies = POLICIES if auth_is_there() else ()
    for statement in (TABLE, *INDEXES, ROW_SECURITY, *policies, *COMMENTS):
        op.execute(statement)


def downgrade() -> None:
    """Drop the table, and with it every row in it."""
    op.execute("DROP TABLE public.artwork_token_aliases")


def auth_is_there() -> bool:
    """Tell whether policies can name who asks; refuse when not, unless the change may do without."""
    allowed_without = parameter("allow_no_auth", default=False)
    if context.is_offline_mode():
        return not allowed_without
    found = op.get_bind().exec_driver_sql("SELECT to_regprocedure('auth.jwt()') IS NOT NULL")
    if found.scalar_one():
        return True
    if not allowed_without:
        message = (
            "artwork_token_aliases has a policy that calls auth.jwt(), which this database does not have. "
            "Set parameter allow_no_auth = true (by hand: -x param.allow_no_auth=true) to create it without policies."
        )
        raise CommandError(message)
    log.warning("artwork_token_aliases: auth is missing, so there is no policy.")
    return False
