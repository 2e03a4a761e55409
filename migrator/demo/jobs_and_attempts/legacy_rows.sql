-- Every value follows from the seed and the row's number alone: no clock and no chance.
INSERT INTO public.restoration_jobs (
    id, user_id, status, original_image_url, processed_image_url, denoise, error_message, created_at, updated_at
)
SELECT
    overlay(overlay(numbered.hash PLACING '4' FROM 13) PLACING '8' FROM 17)::uuid,
    mix.subject,
    (CASE WHEN %(upper)s THEN upper(mix.status) ELSE mix.status END)::public.jobstatus,
    replace(replace(mix.original_image_url, '#', md5('original:' || numbered.hash)::uuid::text), %(old)s, %(bucket)s),
    replace(replace(mix.processed_image_url, '#', md5('processed:' || numbered.hash)::uuid::text), %(old)s, %(bucket)s),
    mix.denoise,
    mix.error_message,
    TIMESTAMPTZ '2025-09-24 00:00:00+00' + mix.created * interval '1 s' + numbered.n * interval '1 ms',
    TIMESTAMPTZ '2025-09-24 00:00:00+00' + mix.updated * interval '1 s' + numbered.n * interval '1 ms'
FROM (
    SELECT n, md5(%(seed)s || ':restoration:' || n) AS hash
    FROM generate_series(0, %(rows)s - 1) AS n
    OFFSET 0  -- so that the hash is made once and not for every column that uses it
) AS numbered
JOIN legacy_mix AS mix ON mix.position = mod(numbered.n, %(kinds)s)
