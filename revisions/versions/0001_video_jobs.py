"""Create video_jobs, the one table of every workflow whose output is a video."""

from __future__ import annotations

import logging

from alembic import context, op
from alembic.util import CommandError

from migrator.database.revision_parameters import parameter

revision = "0001"
down_revision = None
branch_labels = ("output_type_tables",)
depends_on = None

log = logging.getLogger("alembic.runtime.migration")

TABLE = """
    CREATE TABLE public.video_jobs (
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
        input_audio_urls TEXT[],
        input_video_urls TEXT[],
        output_video_urls TEXT[],
        width INTEGER,
        height INTEGER,
        fps INTEGER,
        duration_seconds DOUBLE PRECISION,
        parameters JSONB DEFAULT '{}',
        comfy_job_id TEXT UNIQUE,
        comfy_url TEXT NOT NULL,
        comfyui_output_filename TEXT,
        comfyui_output_subfolder TEXT,
        comfyui_output_type TEXT DEFAULT 'output',
        error_message TEXT,
        updated_at TIMESTAMPTZ DEFAULT now()
    )
"""

OWNER = """
    ALTER TABLE public.video_jobs
        ADD CONSTRAINT video_jobs_user_id_fkey
        FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE
"""

INDEXES = (
    "CREATE INDEX idx_video_jobs_user_id ON public.video_jobs (user_id)",
    "CREATE INDEX idx_video_jobs_workflow_name ON public.video_jobs (workflow_name)",
    "CREATE INDEX idx_video_jobs_status ON public.video_jobs (status)",
    "CREATE INDEX idx_video_jobs_created_at ON public.video_jobs (created_at DESC)",
    "CREATE INDEX idx_video_jobs_comfy_job_id ON public.video_jobs (comfy_job_id)",
)

# The tool writes rows as they were; only writes of the application are news to updated_at.
UPDATED_AT = (
    """
    CREATE FUNCTION public.update_video_jobs_updated_at() RETURNS trigger
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
    CREATE TRIGGER video_jobs_updated_at_trigger
        BEFORE UPDATE ON public.video_jobs
        FOR EACH ROW
        WHEN (coalesce(current_setting('migrator.applying', true), '') = '')
        EXECUTE FUNCTION public.update_video_jobs_updated_at()
    """,
)

ROW_SECURITY = "ALTER TABLE public.video_jobs ENABLE ROW LEVEL SECURITY"

POLICIES = (
    """
    CREATE POLICY video_jobs_select_own_or_unowned ON public.video_jobs
        FOR SELECT USING (auth.uid() = user_id OR user_id IS NULL)
    """,
    """
    CREATE POLICY video_jobs_insert_own_or_unowned ON public.video_jobs
        FOR INSERT WITH CHECK (auth.uid() = user_id OR user_id IS NULL)
    """,
    """
    CREATE POLICY video_jobs_update_own_or_unowned ON public.video_jobs
        FOR UPDATE USING (auth.uid() = user_id OR user_id IS NULL)
    """,
    """
    CREATE POLICY video_jobs_delete_own ON public.video_jobs
        FOR DELETE USING (auth.uid() = user_id)
    """,
)

COMMENTS = (
    "COMMENT ON TABLE public.video_jobs IS 'One row per video job, whatever workflow made it'",
    """
    COMMENT ON COLUMN public.video_jobs.workflow_name IS
        'What made the video: lipsync-one, lipsync-multi, video-lipsync or wan-i2v'
    """,
    """
    COMMENT ON COLUMN public.video_jobs.status IS
        'pending, processing, completed or failed'
    """,
    """
    COMMENT ON COLUMN public.video_jobs.input_image_urls IS
        'Pictures the video was made from'
    """,
    """
    COMMENT ON COLUMN public.video_jobs.input_audio_urls IS
        'Voices or music, one per person where there are several'
    """,
    """
    COMMENT ON COLUMN public.video_jobs.input_video_urls IS
        'Videos that were given new lips'
    """,
    """
    COMMENT ON COLUMN public.video_jobs.output_video_urls IS
        'Finished videos'
    """,
    """
    COMMENT ON COLUMN public.video_jobs.parameters IS
        'Settings of this workflow alone, for example trim_to_audio'
    """,
    """
    COMMENT ON COLUMN public.video_jobs.comfy_job_id IS
        'Prompt id given by ComfyUI; one row per prompt'
    """,
    """
    COMMENT ON COLUMN public.video_jobs.comfy_url IS
        'The ComfyUI server the job was sent to'
    """,
)

# Dropping the table takes its own indexes, trigger and policies along, and nothing else.
DOWNGRADE = (
    "DROP TABLE public.video_jobs",
    "DROP FUNCTION public.update_video_jobs_updated_at()",
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
            "video_jobs refers to auth.users and auth.uid(), which this database does not have. "
            "Set parameter allow_no_auth = true (by hand: -x param.allow_no_auth=true) to "
            "create it without foreign key and policies."
        )
        raise CommandError(message)
    log.warning("video_jobs: auth is missing, so there is no foreign key and no policy.")
    return False
