-- 18 style transfers. The first three are from the days when the browser's own URLs were stored.
INSERT INTO public.style_transfers
SELECT
    md5(%(seed)s || ':style:' || n)::uuid,
    made.created_at,
    CASE
        WHEN n <= 3 THEN 'blob:https://studio.example/' || md5(%(seed)s || ':source:' || n)::uuid
        ELSE files.public || 'style-sources/' || files.day || files.name || '.png'
    END,
    CASE
        WHEN n <= 3 THEN 'blob:https://studio.example/' || md5(%(seed)s || ':look:' || n)::uuid
        ELSE files.public || 'style-looks/' || files.day || reverse(files.name) || '.jpg'
    END,
    'Repaint it like a 100%% woollen tapestry, no. ' || n,
    CASE
        WHEN fate.status <> 'completed' THEN NULL
        WHEN n <= 3 THEN 'https://comfy.vapai.studio/view?filename=style_' || n || '.png&type=temp'
        ELSE files.public || 'style-results/' || files.day || files.name || '.png'
    END,
    'StyleTransfer',
    CASE WHEN n %% 2 = 0 THEN 'Flux Style Transfer' END,
    CASE WHEN n <= 3 THEN 30 + n END,
    CASE n %% 4 WHEN 0 THEN 'unknown' WHEN 1 THEN '2001:db8::' || n ELSE '203.0.113.' || n END,
    fate.status,
    CASE
        WHEN n IN (7, 8) THEN md5(%(seed)s || ':prompt:7')::uuid::text
        WHEN n IN (9, 10) THEN ''
        WHEN n = 11 THEN NULL
        ELSE md5(%(seed)s || ':prompt:' || n)::uuid::text
    END,
    CASE WHEN fate.status = 'failed' THEN 'Node 14 (VAELoader) ran out of memory' END,
    CASE WHEN n NOT IN (5, 16) THEN made.created_at + interval '41 s' END
FROM generate_series(1, 18) AS n
CROSS JOIN LATERAL (
    SELECT TIMESTAMPTZ '2025-09-02 09:00:00+00' + n * interval '3 days 5 min' AS created_at
) AS made
CROSS JOIN LATERAL (
    SELECT
        'https://storage.studio.example/storage/v1/object/public/edited-images/' AS public,
        to_char(made.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD/') AS day,
        left(md5(%(seed)s || ':style-file:' || n), 8) AS name
) AS files
CROSS JOIN LATERAL (
    SELECT CASE n
        WHEN 12 THEN 'cancelled'
        WHEN 13 THEN 'failed'
        WHEN 14 THEN 'processing'
        ELSE 'completed'
    END AS status
) AS fate;

-- 15 edits. The last five are from the days when the new table was written as well.
INSERT INTO public.edited_images
SELECT
    md5(%(seed)s || ':edit:' || n)::uuid,
    CASE
        WHEN n <= 10 THEN TIMESTAMPTZ '2025-09-20 10:00:00+00' + n * interval '4 days 7 min'
        ELSE TIMESTAMPTZ '2025-11-09 16:00:00+00' + n * interval '6 min'
    END,
    files.public || 'sources/2025-10-01/' || files.name || '.png',
    'Remove the lamp behind person no. ' || n,
    CASE WHEN n >= 7 THEN files.public || 'results/2025-10-01/' || files.name || '.png' END,
    CASE WHEN n = 7 THEN 'image-edit' ELSE 'openrouter-gemini' END,
    CASE
        WHEN n <= 4 THEN 'Error: 50' || n || ' from the model: "overloaded", try again'
        WHEN n <> 7 THEN 'google/gemini-flash-1.5-8b'
    END,
    CASE WHEN n >= 7 THEN n END,
    CASE n %% 3 WHEN 0 THEN 'unknown' WHEN 1 THEN '2001:db8::' || n ELSE '198.51.100.' || n END,
    CASE WHEN n <= 4 THEN 'failed' WHEN n = 5 THEN 'processing' WHEN n = 6 THEN 'pending'
        ELSE 'completed' END
FROM generate_series(1, 15) AS n
CROSS JOIN LATERAL (
    SELECT
        'https://storage.studio.example/storage/v1/object/public/edited-images/' AS public,
        left(md5(%(seed)s || ':edit-file:' || n), 8) AS name
) AS files;

-- 4 datasets with 10 images each. Of the first no caption failed, of the last one none is of any use.
INSERT INTO public.datasets
SELECT
    md5(%(seed)s || ':dataset:' || n)::uuid,
    'Character ' || n,
    'tok' || n,
    jsonb_build_object('caption_type', 'Descriptive', 'caption_length', 'long', 'extra_options',
        jsonb_build_array('lighting', 'camera angle'), 'temperature', 0.6, 'top_p', 0.9,
        'name_input', 'tok' || n, 'low_vram', n = 3),
    TIMESTAMPTZ '2025-10-02 08:00:00+00' + n * interval '5 days',
    TIMESTAMPTZ '2025-10-02 08:30:00+00' + n * interval '6 days'
FROM generate_series(1, 4) AS n;

INSERT INTO public.data
SELECT
    md5(%(seed)s || ':data:' || n || ':' || image)::uuid,
    md5(%(seed)s || ':dataset:' || n)::uuid,
    CASE
        WHEN image = 10 THEN ''
        ELSE 'https://storage.studio.example/storage/v1/object/public/datasets/' || n || '/'
            || least(image, 8) || '.png'
    END,
    -- Two images of the same name: an upload wrote its URL to both rows.
    'photo ' || least(image, 8) || '.png',
    CASE
        WHEN image = 10 THEN NULL
        WHEN n = 4 OR (n > 1 AND image = 7) THEN 'Error generating caption'
        WHEN image = 6 THEN ''
        ELSE 'tok' || n || ' looking to the left, picture ' || image
    END,
    TIMESTAMPTZ '2025-10-02 08:00:00+00' + n * interval '5 days' + image * interval '2 s'
FROM generate_series(1, 4) AS n
CROSS JOIN generate_series(1, 10) AS image;
