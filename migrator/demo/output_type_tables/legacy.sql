-- The old tables, without the indexes that are built after loading.

CREATE FUNCTION public.update_updated_at_column() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;

CREATE TABLE public.multitalk_jobs (
    job_id VARCHAR NOT NULL,
    status VARCHAR NOT NULL CONSTRAINT multitalk_jobs_status_check
        CHECK (status IN ('submitted', 'processing', 'completed', 'error')),
    timestamp_submitted TIMESTAMPTZ NOT NULL DEFAULT now(),
    timestamp_completed TIMESTAMPTZ,
    filename VARCHAR,
    subfolder VARCHAR,
    image_filename VARCHAR,
    audio_filename VARCHAR,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    trim_to_audio BOOLEAN NOT NULL DEFAULT false,
    comfy_url VARCHAR NOT NULL,
    error_message TEXT,
    created_at TIMESTAMPTZ DEFAULT now(),
    updated_at TIMESTAMPTZ DEFAULT now()
);

-- Added by hand in the dashboard three days later; no file mentions it.
ALTER TABLE public.multitalk_jobs ADD COLUMN video_url TEXT;

ALTER TABLE public.multitalk_jobs ENABLE ROW LEVEL SECURITY;

CREATE POLICY "Allow all operations on multitalk_jobs" ON public.multitalk_jobs
    FOR ALL USING (true);

CREATE TRIGGER update_multitalk_jobs_updated_at
    BEFORE UPDATE ON public.multitalk_jobs
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE public.style_transfers (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    source_image_url TEXT NOT NULL,
    style_image_url TEXT NOT NULL,
    prompt TEXT NOT NULL,
    result_image_url TEXT,
    workflow_name TEXT,
    model_used TEXT,
    processing_time_seconds INTEGER,
    user_ip TEXT,
    status TEXT,
    comfyui_prompt_id TEXT,
    error_message TEXT,
    updated_at TIMESTAMPTZ
);

CREATE TABLE public.edited_images (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    source_image_url TEXT NOT NULL,
    prompt TEXT NOT NULL,
    result_image_url TEXT,
    workflow_name TEXT DEFAULT 'image-edit',
    model_used TEXT,
    processing_time_seconds INTEGER,
    user_ip TEXT,
    status TEXT
);

CREATE TABLE public.datasets (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name TEXT NOT NULL,
    character_trigger TEXT NOT NULL,
    settings JSONB NOT NULL,
    created_at TIMESTAMPTZ DEFAULT now(),
    updated_at TIMESTAMPTZ DEFAULT now()
);

CREATE INDEX idx_datasets_updated_at ON public.datasets (updated_at);

ALTER TABLE public.datasets ENABLE ROW LEVEL SECURITY;

CREATE POLICY "Allow all operations on datasets" ON public.datasets FOR ALL USING (true);

CREATE TRIGGER update_datasets_updated_at
    BEFORE UPDATE ON public.datasets
    FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE public.data (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    dataset_id UUID NOT NULL REFERENCES public.datasets (id) ON DELETE CASCADE,
    image_url TEXT NOT NULL,
    image_name TEXT NOT NULL,
    caption TEXT,
    created_at TIMESTAMPTZ DEFAULT now()
);

CREATE INDEX idx_data_dataset_id ON public.data (dataset_id);

ALTER TABLE public.data ENABLE ROW LEVEL SECURITY;

CREATE POLICY "Allow all operations on data" ON public.data FOR ALL USING (true);
