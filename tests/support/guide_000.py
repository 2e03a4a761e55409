"""The SQL of the documented guide 000, each statement for itself as `psql` runs it, and the shapes of its tables.

`GUIDE` are the guide's tables, `ORM` and `SCRIPT` the two other shapes in which the same repository makes them.
"""

from __future__ import annotations

from contextlib import closing

import psycopg

GUIDE = """
CREATE TABLE public.jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text NOT NULL, created_at timestamptz DEFAULT now(),
    selected_restore_id uuid, latest_animation_id uuid);
CREATE TABLE public.restore_attempts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES public.jobs (id) ON DELETE CASCADE,
    s3_key text NOT NULL, model text, params jsonb, created_at timestamptz DEFAULT now());
CREATE TABLE public.animation_attempts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_id uuid NOT NULL REFERENCES public.jobs (id) ON DELETE CASCADE,
    restore_id uuid REFERENCES public.restore_attempts (id),
    preview_s3_key text NOT NULL, result_s3_key text, thumb_s3_key text, model text,
    params jsonb, created_at timestamptz DEFAULT now());
ALTER TABLE public.jobs ADD CONSTRAINT fk_jobs_selected_restore
    FOREIGN KEY (selected_restore_id) REFERENCES public.restore_attempts (id);
ALTER TABLE public.jobs ADD CONSTRAINT fk_jobs_latest_animation
    FOREIGN KEY (latest_animation_id) REFERENCES public.animation_attempts (id);
CREATE INDEX idx_jobs_email ON public.jobs (email);
CREATE INDEX idx_restore_attempts_job_id ON public.restore_attempts (job_id);
CREATE INDEX idx_animation_attempts_job_id ON public.animation_attempts (job_id);
CREATE INDEX idx_animation_attempts_restore_id ON public.animation_attempts (restore_id)
"""
GUIDE_BACK = """
ALTER TABLE public.jobs DROP CONSTRAINT fk_jobs_selected_restore, DROP CONSTRAINT fk_jobs_latest_animation;
DROP TABLE public.animation_attempts; DROP TABLE public.restore_attempts; DROP TABLE public.jobs
"""
ORM = """
CREATE TABLE public.jobs (
    id uuid NOT NULL, email varchar NOT NULL, created_at timestamptz DEFAULT now(),
    selected_restore_id uuid, latest_animation_id uuid, PRIMARY KEY (id));
CREATE INDEX ix_jobs_email ON public.jobs (email);
CREATE TABLE public.restore_attempts (
    id uuid NOT NULL, job_id uuid NOT NULL, s3_key varchar NOT NULL, model varchar, params json,
    created_at timestamptz DEFAULT now(), PRIMARY KEY (id),
    FOREIGN KEY (job_id) REFERENCES public.jobs (id) ON DELETE CASCADE);
CREATE INDEX ix_restore_attempts_job_id ON public.restore_attempts (job_id);
CREATE TABLE public.animation_attempts (
    id uuid NOT NULL, job_id uuid NOT NULL, restore_id uuid, preview_s3_key varchar NOT NULL, result_s3_key varchar,
    thumb_s3_key varchar, model varchar, params json, created_at timestamptz DEFAULT now(), PRIMARY KEY (id),
    FOREIGN KEY (job_id) REFERENCES public.jobs (id) ON DELETE CASCADE,
    FOREIGN KEY (restore_id) REFERENCES public.restore_attempts (id));
CREATE INDEX ix_animation_attempts_job_id ON public.animation_attempts (job_id);
CREATE INDEX ix_animation_attempts_restore_id ON public.animation_attempts (restore_id)
"""
SCRIPT = """
CREATE TABLE public.jobs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email varchar(255) NOT NULL, created_at timestamptz DEFAULT now(),
    selected_restore_id uuid, latest_animation_id uuid);
CREATE TABLE public.restore_attempts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), job_id uuid REFERENCES public.jobs (id), s3_key varchar(500),
    model varchar(100), params jsonb, created_at timestamptz DEFAULT now());
CREATE TABLE public.animation_attempts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), job_id uuid REFERENCES public.jobs (id),
    restore_id uuid REFERENCES public.restore_attempts (id), preview_s3_key varchar(500), result_s3_key varchar(500),
    thumb_s3_key varchar(500), model varchar(100),
    params jsonb, created_at timestamptz DEFAULT now())
"""
ATTEMPTS = """
INSERT INTO public.jobs (id, email) SELECT md5('j' || i)::uuid, i || '@example.com' FROM generate_series(1, 9) AS i;
INSERT INTO public.restore_attempts (id, job_id, s3_key, params)
    SELECT md5('r' || i)::uuid, md5('j' || i)::uuid, 'key ' || i,
        ('{"b":  ' || i || ', "a": 1,' || chr(10) || ' "b": 2}')::json FROM generate_series(1, 9) AS i
"""

JOBS = "INSERT INTO jobs (id, email, created_at) SELECT id, user_id AS email, created_at FROM restoration_jobs"
RESTORE_ATTEMPTS = """
INSERT INTO restore_attempts (job_id, s3_key, created_at)
SELECT id AS job_id, processed_image_url AS s3_key, updated_at AS created_at
FROM restoration_jobs WHERE processed_image_url IS NOT NULL
"""
ROLLBACK = ("animation_attempts", "restore_attempts", "jobs")


def run_migration(url: str, *statements: str) -> dict[str, int | str]:
    """Run the two INSERTs as an SQL prompt does, the second one also after an error: rows, or SQLSTATE, by table."""
    found: dict[str, int | str] = {}
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        for statement in statements or (JOBS, RESTORE_ATTEMPTS):
            name = statement.split()[2]
            try:
                found[name] = conn.execute(statement.encode()).rowcount
            except psycopg.Error as error:
                found[name] = str(error.sqlstate)
    return found


def run_rollback(url: str) -> None:
    """Run the guide's rollback, which asks nobody."""
    with closing(psycopg.connect(url, autocommit=True)) as conn:
        for one in ROLLBACK:
            conn.execute(f"DROP TABLE IF EXISTS {one} CASCADE".encode())
