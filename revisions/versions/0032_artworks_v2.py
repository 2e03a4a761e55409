"""Create artworks_v2, one row for the whole life of an artwork; its names become those of artworks by the switch."""

from __future__ import annotations

import logging

from alembic import context, op
from alembic.util import CommandError

from migrator.database.revision_parameters import parameter

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

log = logging.getLogger("alembic.runtime.migration")

# Deleting a user must not delete artworks, and their orders with them: SET NULL, as in the old table.
TABLE = """
    CREATE TABLE public.artworks_v2 (
        id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
        user_id UUID REFERENCES public.users (id) ON DELETE SET NULL,
        customer_name TEXT NOT NULL,
        customer_email TEXT NOT NULL,
        pet_name TEXT,
        pet_mom_image_url TEXT NOT NULL,
        pet_image_url TEXT NOT NULL,
        generated_image_url TEXT,
        upscaled_image_url TEXT,
        generation_status TEXT DEFAULT 'pending'
            CHECK (generation_status IN ('pending', 'processing', 'completed', 'failed')),
        upscale_status TEXT DEFAULT 'not_started'
            CHECK (upscale_status IN ('not_started', 'pending', 'processing', 'completed', 'failed')),
        generation_started_at TIMESTAMPTZ,
        generation_completed_at TIMESTAMPTZ,
        upscale_started_at TIMESTAMPTZ,
        upscale_completed_at TIMESTAMPTZ,
        access_token TEXT NOT NULL UNIQUE,
        token_expires_at TIMESTAMPTZ NOT NULL,
        mockup_urls JSONB,
        mockup_generated_at TIMESTAMPTZ,
        fal_request_id TEXT,
        generation_params JSONB,
        created_at TIMESTAMPTZ DEFAULT now(),
        updated_at TIMESTAMPTZ DEFAULT now()
    )
"""

# Every name holds the table's, so that by renaming they become those the old table has now.
INDEXES = (
    "CREATE INDEX idx_artworks_v2_user ON public.artworks_v2 (user_id)",
    "CREATE INDEX idx_artworks_v2_email ON public.artworks_v2 (customer_email)",
    "CREATE INDEX idx_artworks_v2_folded_email ON public.artworks_v2 (lower(btrim(customer_email)))",
    "CREATE INDEX idx_artworks_v2_token ON public.artworks_v2 (access_token)",
    "CREATE INDEX idx_artworks_v2_generation_status ON public.artworks_v2 (generation_status)",
    "CREATE INDEX idx_artworks_v2_upscale_status ON public.artworks_v2 (upscale_status)",
)

# The tool writes rows as they were; only writes of the application are news to updated_at.
UPDATED_AT = (
    """
    CREATE FUNCTION public.set_artworks_updated_at() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = ''
    AS $$
    BEGIN
        NEW.updated_at := now();
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER update_artworks_v2_updated_at
        BEFORE UPDATE ON public.artworks_v2
        FOR EACH ROW
        WHEN (coalesce(current_setting('migrator.applying', true), '') = '')
        EXECUTE FUNCTION public.set_artworks_updated_at()
    """,
)

ROW_SECURITY = "ALTER TABLE public.artworks_v2 ENABLE ROW LEVEL SECURITY"

# Addresses are compared however they are spelled: a customer who types Jane@ sees what jane@ ordered.
POLICIES = (
    """
    CREATE POLICY "Users can view artworks by email" ON public.artworks_v2
        FOR SELECT USING (
            user_id = auth.uid()
            OR lower(btrim(customer_email)) = (
                SELECT lower(btrim(users.email)) FROM public.users
                WHERE users.id = auth.uid() AND btrim(users.email) <> ''
            )
        )
    """,
    """
    CREATE POLICY "Service role can access all artworks" ON public.artworks_v2
        FOR ALL USING (auth.jwt() ->> 'role' = 'service_role')
    """,
)

COMMENTS = (
    "COMMENT ON TABLE public.artworks_v2 IS 'One row per artwork, from the upload to the print'",
    """
    COMMENT ON COLUMN public.artworks_v2.pet_mom_image_url IS
        'The picture of the person; a sentinel where the old upload never stored it'
    """,
    """
    COMMENT ON COLUMN public.artworks_v2.pet_image_url IS
        'The picture of the pet; a sentinel where the old upload never stored it'
    """,
    """
    COMMENT ON COLUMN public.artworks_v2.upscale_status IS
        'not_started until somebody asks; pending is a request, which is paid for'
    """,
    """
    COMMENT ON COLUMN public.artworks_v2.generation_params IS
        'Settings of the generation; of rows from before, what they held that has no column here'
    """,
)

# Dropping the table takes its own indexes, trigger and policies along, and nothing else.
DOWNGRADE = (
    "DROP TABLE public.artworks_v2",
    "DROP FUNCTION public.set_artworks_updated_at()",
)


def upgrade() -> None:
    """Create the table with all that belongs to it; without `auth` nobody but its owner sees it."""
    policies = POLICIES if auth_is_there() else ()
    for statement in (TABLE, *INDEXES, *UPDATED_AT, ROW_SECURITY, *policies, *COMMENTS):
        op.execute(statement)


def downgrade() -> None:
    """Drop what `upgrade` created, and with the table every row in it."""
    for statement in DOWNGRADE:
        op.execute(statement)


def auth_is_there() -> bool:
    """Tell whether policies can name who asks; refuse when not, unless the change may do without."""
    allowed_without = parameter("allow_no_auth", default=False)
    if context.is_offline_mode():
        return not allowed_without
    found = op.get_bind().exec_driver_sql(
        "SELECT to_regprocedure('auth.uid()') IS NOT NULL AND to_regprocedure('auth.jwt()') IS NOT NULL"
    )
    if found.scalar_one():
        return True
    if not allowed_without:
        message = (
            "artworks_v2 has policies that call auth.uid() and auth.jwt(), which this database does not have. "
            "Set parameter allow_no_auth = true (by hand: -x param.allow_no_auth=true) to create it without policies."
        )
        raise CommandError(message)
    log.warning("artworks_v2: auth is missing, so there is no policy.")
    return False
