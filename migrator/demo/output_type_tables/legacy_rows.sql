-- Every value follows from the seed and the row's number alone: no clock and no chance.
INSERT INTO public.multitalk_jobs (
    job_id, status, timestamp_submitted, timestamp_completed, filename, subfolder,
    image_filename, audio_filename, width, height, trim_to_audio, comfy_url, error_message,
    created_at, updated_at, video_url
)
SELECT
    named.job_id,
    mix.status,
    began.moment + mix.submitted_skew * interval '1 hour',
    ended.moment + mix.completed_skew * interval '1 hour',
    replace(mix.filename, '#', named.token),
    mix.subfolder,
    replace(mix.image_filename, '#', named.token),
    replace(mix.audio_filename, '#', named.token),
    mix.width,
    mix.height,
    mix.trim_to_audio,
    mix.comfy_url,
    mix.error_message,
    -- These two come from the server, so they are right where a client's clock was not.
    began.moment + interval '200 ms',
    coalesce(ended.moment, began.moment) + interval '350 ms',
    CASE
        WHEN mix.stored_name = '' THEN ''
        ELSE 'https://storage.studio.example/storage/v1/object/sign/multitalk-videos/videos/'
            || to_char(began.moment AT TIME ZONE 'UTC', 'YYYY-MM-DD') || '/'
            || named.job_id || '_' || replace(mix.stored_name, '#', named.token)
            || '?token=demo.' || numbered.hash
    END
FROM (
    SELECT n, md5(%(seed)s || ':' || n) AS hash
    FROM generate_series(0, %(rows)s - 1) AS n
    OFFSET 0  -- so that the hash is made once and not for every column that uses it
) AS numbered
JOIN legacy_mix AS mix ON mix.position = mod(numbered.n, %(jobs)s)
CROSS JOIN LATERAL (
    SELECT
        right(numbered.hash, 8) AS token,
        CASE
            WHEN mix.short_id THEN (1000 + numbered.n)::text
            ELSE overlay(overlay(numbered.hash PLACING '4' FROM 13) PLACING '8' FROM 17)::uuid::text
        END AS job_id
) AS named
CROSS JOIN LATERAL (
    SELECT
        TIMESTAMPTZ '2025-08-18 00:00:00+00'
        + (mix.submitted_ms + ('x' || left(numbered.hash, 4))::bit(16)::integer)
        * interval '1 ms' AS moment
) AS began
CROSS JOIN LATERAL (SELECT began.moment + mix.duration_ms * interval '1 ms' AS moment) AS ended
