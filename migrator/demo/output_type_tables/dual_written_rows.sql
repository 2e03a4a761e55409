-- The last edits, written to the new table milliseconds after the old one.
INSERT INTO public.image_jobs (
    id, workflow_name, status, created_at, completed_at, processing_time_seconds,
    input_image_urls, prompt, output_image_urls, parameters, comfy_url, model_used, user_ip,
    updated_at
)
SELECT
    md5(%(seed)s || ':dual:' || old.id)::uuid,
    'image-edit',
    old.status,
    old.created_at + interval '12 ms',
    old.created_at + old.processing_time_seconds * interval '1 s',
    old.processing_time_seconds,
    ARRAY[old.source_image_url],
    old.prompt,
    ARRAY[old.result_image_url],
    jsonb_build_object('model', old.model_used),
    'openrouter',
    old.model_used,
    old.user_ip,
    old.created_at + old.processing_time_seconds * interval '1 s'
FROM public.edited_images AS old
WHERE old.created_at >= TIMESTAMPTZ '2025-11-09 00:00:00+00';
