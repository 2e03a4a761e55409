"""Create image_jobs, the one table of every workflow whose output is an image."""

from __future__ import annotations

import logging

from alembic import context, op
from alembic.util import CommandError

from migrator.database.revision_parameters import parameter

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

log = logging.getLogger("alembic.runtime.migration")

TABLE = """
    CREATE TABLE public.image_jobs (
        id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
        user_id UUID,
        workflow_name TEXT NOT NULL,
        status TEXT NOT NULL
            CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        started_at TIMESTAMPTZ,
        completed_at TIMESTAMPTZ,
        processing_time_seconds INTEGER,
        input_image_urls TEXT[],
        prompt TEXT,
        output_image_urls TEXT[],
        width INTEGER,
        height INTEGER,
        parameters JSONB DEFAULT '{}',
        comfy_job_id TEXT UNIQUE,
        comfy_url TEXT NOT NULL,
        comfyui_output_filename TEXT,
        comfyui_output_subfolder TEXT,
        comfyui_output_type TEXT DEFAULT 'output',
        error_message TEXT,
        model_used TEXT,
        user_ip TEXT,
        updated_at TIMESTAMPTZ DEFAULT now()
    )
"""

OWNER = """
    ALTER TABLE public.image_jobs
        ADD CONSTRAINT image_jobs_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE
"""

INDEXES = (
    "CREATE INDEX idx_image_jobs_user_id ON public.image_jobs (user_id)",
    "CREATE INDEX idx_image_jobs_workflow_name ON public.image_jobs (workflow_name)",
    "CREATE INDEX idx_image_jobs_status ON public.image_jobs (status)",
    "CREATE INDEX idx_image_jobs_created_at ON public.image_jobs (created_at DESC)",
    "CREATE INDEX idx_image_jobs_comfy_job_id ON public.image_jobs (comfy_job_id)",
)

# The tool writes rows as they were; only writes of the application are news to updated_at.
UPDATED_AT = (
    """
    CREATE FUNCTION public.update_image_jobs_updated_at() RETURNS trigger
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
    CREATE TRIGGER image_jobs_updated_at_trigger
        BEFORE UPDATE ON public.image_jobs
        FOR EACH ROW
        WHEN (coalesce(current_setting('migrator.applying', true), '') = '')
        EXECUTE FUNCTION public.update_image_jobs_updated_at()
    """,
)

ROW_SECURITY = "ALTER TABLE public.image_jobs ENABLE ROW LEVEL SECURITY"

POLICIES = (
    """
    CREATE POLICY image_jobs_select_own_or_unowned ON public.image_jobs
        FOR SELECT USING (auth.uid() = user_id OR user_id IS NULL)
    """,
    """
    CREATE POLICY image_jobs_insert_own_or_unowned ON public.image_jobs
        FOR INSERT WITH CHECK (auth.uid() = user_id OR user_id IS NULL)
    """,
    """
    CREATE POLICY image_jobs_update_own_or_unowned ON public.image_jobs
        FOR UPDATE USING (auth.uid() = user_id OR user_id IS NULL)
    """,
    """
    CREATE POLICY image_jobs_delete_own ON public.image_jobs
        FOR DELETE USING (auth.uid() = user_id)
    """,
)

COMMENTS = (
    "COMMENT ON TABLE public.image_jobs IS 'One row per image job, whatever workflow made it'",
    """
    COMMENT ON COLUMN public.image_jobs.workflow_name IS
        'What made the image: img2img, style-transfer or image-edit'
    """,
    """
    COMMENT ON COLUMN public.image_jobs.status IS
        'pending, processing, completed or failed'
    """,
    """
    COMMENT ON COLUMN public.image_jobs.input_image_urls IS
        'Source pictures; for a style transfer the source first, then the style'
    """,
    """
    COMMENT ON COLUMN public.image_jobs.prompt IS
        'What was asked for, in the words of the user'
    """,
    """
    COMMENT ON COLUMN public.image_jobs.output_image_urls IS
        'Finished images'
    """,
    """
    COMMENT ON COLUMN public.image_jobs.parameters IS
        'Settings of this workflow alone, for example the model'
    """,
    """
    COMMENT ON COLUMN public.image_jobs.comfy_job_id IS
        'Prompt id given by ComfyUI; one row per prompt'
    """,
    """
    COMMENT ON COLUMN public.image_jobs.comfy_url IS
        'The ComfyUI server, or the name of the service the job was sent to'
    """,
    """
    COMMENT ON COLUMN public.image_jobs.model_used IS
        'The model that answered; an error text belongs in error_message'
    """,
)

# Dropping the table takes its own indexes, trigger and policies along, and nothing else.
DOWNGRADE = (
    "DROP TABLE public.image_jobs",
    "DROP FUNCTION public.update_image_jobs_updated_at()",
)


def upgrade() -> None:
    """Create the table with all that belongs to it; without `auth` nobody but its owner sees it."""
    with_auth = auth_is_there()
    owner, policies = ((OWNER,), POLICIES) if with_auth else ((), ())
    for statement in (TABLE, *owner, *INDEXES, *UPDATED_AT, ROW_SECURITY, *policies, *COMMENTS):
        op.execute(statement)


def downgrade() -> None:
    """Drop what `upgrade` created, and with the table every row in it."""
    for statement in DOWNGRADE:
        op.execute(statement)


def auth_is_there() -> bool:
    """Tell whether owners can be referenced; refuse when not, unless the change may do without."""
    allowed_without = parameter("allow_no_auth", default=False)
    if context.is_offline_mode():
        return not allowed_without
    found = op.get_bind().exec_driver_sql(
        "SELECT to_regclass('auth.users') IS NOT NULL AND to_regprocedure('auth.uid()') IS NOT NULL"
    )
    if found.scalar_one():
        return True
    if not allowed_without:
        message = (
            "image_jobs refers to auth.users and auth.uid(), which this database does not have. "
            "Set parameter allow_no_auth = true (by hand: -x param.allow_no_auth=true) to "
            "create it without foreign key and policies."
        )
        raise CommandError(message)
    log.warning("image_jobs: auth is missing, so there is no foreign key and no policy.")
    return False
