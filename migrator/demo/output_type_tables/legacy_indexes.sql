-- Built over the loaded rows: with millions of them that takes seconds instead of minutes.
ALTER TABLE public.multitalk_jobs ADD CONSTRAINT multitalk_jobs_pkey PRIMARY KEY (job_id);

CREATE INDEX idx_multitalk_jobs_status ON public.multitalk_jobs (status);
CREATE INDEX idx_multitalk_jobs_timestamp_submitted
    ON public.multitalk_jobs (timestamp_submitted DESC);
CREATE INDEX idx_multitalk_jobs_timestamp_completed
    ON public.multitalk_jobs (timestamp_completed DESC);
CREATE INDEX idx_multitalk_jobs_comfy_url ON public.multitalk_jobs (comfy_url);

ANALYZE public.multitalk_jobs, public.style_transfers, public.edited_images,
    public.datasets, public.data;
