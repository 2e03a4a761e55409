-- Jobs that the new application saw too, under ids of its own.
INSERT INTO public.video_jobs (
    id, user_id, workflow_name, status, created_at, started_at, completed_at,
    processing_time_seconds, input_image_urls, output_video_urls, width, height, parameters,
    comfy_job_id, comfy_url, comfyui_output_filename, updated_at
)
SELECT
    md5(%(seed)s || ':shared:' || old.job_id)::uuid,
    md5('user:1')::uuid,
    shared.workflow,
    'completed',
    old.created_at,
    old.created_at + interval '2 s',
    old.updated_at,
    30,
    ARRAY['https://storage.studio.example/storage/v1/object/public/inputs/shared.png'],
    ARRAY['https://storage.studio.example/storage/v1/object/public/outputs/shared.mp4'],
    old.width,
    old.height,
    jsonb_build_object('trim_to_audio', old.trim_to_audio),
    old.job_id,
    old.comfy_url,
    old.filename,
    old.updated_at
FROM unnest(%(job_ids)s::text[], %(workflows)s::text[]) AS shared (job_id, workflow)
JOIN public.multitalk_jobs AS old USING (job_id);

-- Jobs that only the new application knows.
INSERT INTO public.video_jobs (
    id, user_id, workflow_name, status, created_at, started_at, completed_at,
    processing_time_seconds, input_image_urls, output_video_urls, width, height, fps,
    duration_seconds, parameters, comfy_job_id, comfy_url, comfyui_output_filename,
    error_message, updated_at
)
SELECT
    md5(%(seed)s || ':own-video:' || n)::uuid,
    CASE WHEN n <> 4 THEN md5('user:' || n)::uuid END,
    (ARRAY['lipsync-one', 'lipsync-multi', 'video-lipsync', 'wan-i2v'])[n],
    own.status,
    own.created_at,
    CASE WHEN own.status <> 'pending' THEN own.created_at + interval '3 s' END,
    CASE WHEN own.status IN ('completed', 'failed') THEN own.created_at + interval '63 s' END,
    CASE WHEN own.status IN ('completed', 'failed') THEN 60 END,
    ARRAY['https://storage.studio.example/storage/v1/object/public/inputs/own' || n || '.png'],
    CASE WHEN own.status = 'completed' THEN
        ARRAY['https://storage.studio.example/storage/v1/object/public/outputs/own' || n || '.mp4']
    END,
    832,
    480,
    25,
    CASE WHEN own.status = 'completed' THEN 4.04 END,
    '{}',
    CASE WHEN own.status <> 'pending' THEN md5(%(seed)s || ':own-prompt:' || n)::uuid::text END,
    'https://comfy.vapai.studio',
    CASE WHEN own.status = 'completed' THEN 'own_' || n || '_.mp4' END,
    CASE WHEN own.status = 'failed' THEN 'ComfyUI did not answer' END,
    own.created_at + interval '64 s'
FROM generate_series(1, 4) AS n
CROSS JOIN LATERAL (
    SELECT
        TIMESTAMPTZ '2025-11-10 12:00:00+00' + n * interval '17 min' AS created_at,
        (ARRAY['completed', 'failed', 'processing', 'pending'])[n] AS status
) AS own;

INSERT INTO public.image_jobs (
    id, user_id, workflow_name, status, created_at, completed_at, processing_time_seconds,
    input_image_urls, prompt, output_image_urls, parameters, comfy_job_id, comfy_url, model_used,
    user_ip, updated_at
)
SELECT
    md5(%(seed)s || ':own-image:' || n)::uuid,
    CASE WHEN n = 1 THEN md5('user:1')::uuid END,
    CASE n WHEN 1 THEN 'img2img' ELSE 'image-edit' END,
    'completed',
    own.created_at,
    own.created_at + interval '9 s',
    9,
    ARRAY['https://storage.studio.example/storage/v1/object/public/inputs/image' || n || '.png'],
    'Make it evening',
    ARRAY['https://storage.studio.example/storage/v1/object/public/outputs/image' || n || '.png'],
    '{}',
    CASE WHEN n = 1 THEN md5(%(seed)s || ':own-image-prompt:' || n)::uuid::text END,
    CASE n WHEN 1 THEN 'https://comfy.vapai.studio' ELSE 'openrouter' END,
    CASE WHEN n = 2 THEN 'google/gemini-flash-1.5-8b' END,
    '203.0.113.' || n,
    own.created_at + interval '10 s'
FROM generate_series(1, 2) AS n
CROSS JOIN LATERAL (
    SELECT TIMESTAMPTZ '2025-11-10 15:00:00+00' + n * interval '20 min' AS created_at
) AS own;
