-- A job that somebody has copied by hand already, under its old id.
INSERT INTO public.jobs (id, email, created_at)
SELECT id, %(address)s, created_at FROM public.restoration_jobs WHERE id = %(live)s::uuid;

-- Jobs that only the new application knows: the API's row stays empty for ever, the worker adds its own.
INSERT INTO public.jobs (id, email, created_at)
SELECT md5(%(seed)s || ':job:' || n)::uuid, 'new' || n || '@example.org',
    TIMESTAMPTZ '2025-11-24 08:00:00+00' + n * interval '1 hour'
FROM generate_series(1, 3) AS n;

INSERT INTO public.restore_attempts (id, job_id, s3_key, model, params, created_at)
SELECT md5(%(seed)s || ':attempt:' || n || kind)::uuid, md5(%(seed)s || ':job:' || n)::uuid,
    CASE kind WHEN 'api' THEN '' WHEN 'worker' THEN 'restored/' || md5(%(seed)s || ':job:' || n)::uuid
        || '/20251124_08' || n || '000_000000.jpg' END,
    'comfyui_v2', '{"denoise": 0.7, "megapixels": 1.0}', TIMESTAMPTZ '2025-11-24 09:00:00+00' + n * interval '1 hour'
FROM generate_series(1, 2) AS n, unnest(ARRAY['api', 'worker']) AS kind;

INSERT INTO public.animation_attempts (id, job_id, restore_id, preview_s3_key, model, created_at)
SELECT md5(%(seed)s || ':animation:1')::uuid, md5(%(seed)s || ':job:1')::uuid,
    md5(%(seed)s || ':attempt:1worker')::uuid, 'animated/preview.mp4', 'animation_v1',
    TIMESTAMPTZ '2025-11-24 12:00:00+00';

UPDATE public.jobs SET selected_restore_id = md5(%(seed)s || ':attempt:1worker')::uuid,
    latest_animation_id = md5(%(seed)s || ':animation:1')::uuid
WHERE id = md5(%(seed)s || ':job:1')::uuid;

UPDATE public.jobs SET selected_restore_id = md5(%(seed)s || ':attempt:2api')::uuid
WHERE id = md5(%(seed)s || ':job:2')::uuid
