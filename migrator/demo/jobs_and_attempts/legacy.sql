-- The old table, as its only revision makes it; the words of the enumeration are made before.

CREATE TABLE public.restoration_jobs (
    id UUID PRIMARY KEY,
    user_id VARCHAR NOT NULL,
    status public.jobstatus NOT NULL,
    original_image_url VARCHAR NOT NULL,
    processed_image_url VARCHAR,
    denoise DOUBLE PRECISION NOT NULL,
    error_message TEXT,
    created_at TIMESTAMPTZ DEFAULT now(),
    updated_at TIMESTAMPTZ
);

CREATE INDEX ix_restoration_jobs_user_id ON public.restoration_jobs (user_id);
CREATE INDEX ix_restoration_jobs_status ON public.restoration_jobs (status);
