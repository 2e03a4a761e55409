"""Create text_jobs, the one table of every workflow whose output is text."""

from __future__ import annotations

import logging

from alembic import context, op
from alembic.util import CommandError

from migrator.database.revision_parameters import parameter

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

log = logging.getLogger("alembic.runtime.migration")

TABLE = """
    CREATE TABLE public.text_jobs (
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
        input_text TEXT,
        output_text TEXT,
        output_data JSONB,
        parameters JSONB DEFAULT '{}',
        comfy_job_id TEXT UNIQUE,
        comfy_url TEXT,
        error_message TEXT,
        model_used TEXT,
        updated_at TIMESTAMPTZ DEFAULT now()
    )
"""

OWNER = """
    ALTER TABLE public.text_jobs
        ADD CONSTRAINT text_jobs_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE
"""

INDEXES = (
    "CREATE INDEX idx_text_jobs_user_id ON public.text_jobs (user_id)",
    "CREATE INDEX idx_text_jobs_workflow_name ON public.text_jobs (workflow_name)",
    "CREATE INDEX idx_text_jobs_status ON public.text_jobs (status)",
    "CREATE INDEX idx_text_jobs_created_at ON public.text_jobs (created_at DESC)",
)

# The tool writes rows as they were; only writes of the application are news to updated_at.
UPDATED_AT = (
    """
    CREATE FUNCTION public.update_text_jobs_updated_at() RETURNS trigger
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
    CREATE TRIGGER text_jobs_updated_at_trigger
        BEFORE UPDATE ON public.text_jobs
        FOR EACH ROW
        WHEN (coalesce(current_setting('migrator.applying', true), '') = '')
        EXECUTE FUNCTION public.update_text_jobs_updated_at()
    """,
)

ROW_SECURITY = "ALTER TABLE public.text_jobs ENABLE ROW LEVEL SECURITY"

POLICIES = (
    """
    CREATE POLICY text_jobs_select_own_or_unowned ON public.text_jobs
        FOR SELECT USING (auth.uid() = user_id OR user_id IS NULL)
    """,
    """
    CREATE POLICY text_jobs_insert_own_or_unowned ON public.text_jobs
        FOR INSERT WITH CHECK (auth.uid() = user_id OR user_id IS NULL)
    """,
    """
    CREATE POLICY text_jobs_update_own_or_unowned ON public.text_jobs
        FOR UPDATE USING (auth.uid() = user_id OR user_id IS NULL)
    """,
    """
    CREATE POLICY text_jobs_delete_own ON public.text_jobs
        FOR DELETE USING (auth.uid() = user_id)
    """,
)

COMMENTS = (
    "COMMENT ON TABLE public.text_jobs IS 'One row per text job, whatever workflow made it'",
    """
    COMMENT ON COLUMN public.text_jobs.workflow_name IS
        'What made the text: character-caption'
    """,
    """
    COMMENT ON COLUMN public.text_jobs.status IS
        'pending, processing, completed or failed'
    """,
    """
    COMMENT ON COLUMN public.text_jobs.input_image_urls IS
        'Pictures the text is about'
    """,
    """
    COMMENT ON COLUMN public.text_jobs.input_text IS
        'Text the work began with, where there was any'
    """,
    """
    COMMENT ON COLUMN public.text_jobs.output_text IS
        'Finished text, where there is one'
    """,
    """
    COMMENT ON COLUMN public.text_jobs.output_data IS
        'Finished texts with what they belong to, for example the captions of a dataset'
    """,
    """
    COMMENT ON COLUMN public.text_jobs.parameters IS
        'Settings of this workflow alone, for example how long a caption is'
    """,
    """
    COMMENT ON COLUMN public.text_jobs.comfy_job_id IS
        'Prompt id given by ComfyUI; one row per prompt'
    """,
    """
    COMMENT ON COLUMN public.text_jobs.comfy_url IS
        'The ComfyUI server the job was sent to, where there was one'
    """,
    """
    COMMENT ON COLUMN public.text_jobs.model_used IS
        'The model that answered; an error text belongs in error_message'
    """,
)

# Dropping the table takes its own indexes, trigger and policies along, and nothing else.
DOWNGRADE = (
    "DROP TABLE public.text_jobs",
    "DROP FUNCTION public.update_text_jobs_updated_at()",
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
            "text_jobs refers to auth.users and auth.uid(), which this database does not have. "
            "Set parameter allow_no_auth = true (by hand: -x param.allow_no_auth=true) to "
            "create it without foreign key and policies."
        )
        raise CommandError(message)
    log.warning("text_jobs: auth is missing, so there is no foreign key and no policy.")
    return False
