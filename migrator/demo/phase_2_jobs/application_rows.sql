-- What the application of Phase 2 did while its runner was up for a while, by the number of the image:
--   0 to 7     everything was made, but the preview came first: PROCESSING for ever
--   8 to 10    the thumbnail was made, and the preview never ordered
--   13 to 16   the worker died after it had moved the file: RUNNING for ever
--   17 to 22   the file was moved, and the job failed: the next two tries did not find it
--   23 to 27   everything went well
--   245, 246   somebody tried the page's own script: thumbnails, a preview that failed, a preview never ordered
--   247        both of its jobs failed
CREATE TEMPORARY TABLE application_job ON COMMIT DROP AS
SELECT p.*, kind.type, kind.status
FROM legacy_position AS p
CROSS JOIN LATERAL (VALUES
    ('THUMBNAIL_GENERATION', CASE WHEN n < 11 OR n BETWEEN 23 AND 27 OR n IN (245, 246) THEN 'COMPLETED' WHEN n = 247 THEN 'FAILED' END),
    ('PREVIEW_GENERATION', CASE WHEN n < 8 OR n BETWEEN 23 AND 27 THEN 'COMPLETED' WHEN n IN (245, 247) THEN 'FAILED' END)
) AS kind (type, status)
WHERE kind.status IS NOT NULL;
UPDATE "Image" AS t
SET "status" = (CASE WHEN n < 11 THEN 'PROCESSING' WHEN n < 28 THEN 'STORED' ELSE 'INGESTED' END)::"ImageStatus",
    "tempPath" = CASE WHEN n < 28 THEN '/tmp/storage/originals/' || p.checksum || ending ELSE t."tempPath" END,
    "thumbnailPath" = '/tmp/storage/thumbnails/' || p.id || '/thumb-64.jpg',
    "previewPath" = CASE WHEN n < 8 OR n BETWEEN 23 AND 27 THEN '/tmp/storage/previews/' || p.id || '/preview.jpg' END,
    "updatedAt" = TIMESTAMP '2026-01-30 10:00:00' + i * interval '1 second'
FROM legacy_position AS p
WHERE t."id" = p.id AND (n < 11 OR n BETWEEN 23 AND 27 OR n IN (245, 246));
UPDATE "Job" AS t
SET "status" = CASE WHEN n BETWEEN 13 AND 16 THEN 'RUNNING' WHEN n BETWEEN 17 AND 22 THEN 'FAILED' ELSE 'COMPLETED' END,
    "attempts" = CASE WHEN n BETWEEN 17 AND 22 THEN 3 ELSE 1 END,
    "lockedAt" = CASE WHEN n BETWEEN 13 AND 16 THEN TIMESTAMP '2026-01-30 11:00:00' END,
    "lockedBy" = CASE WHEN n BETWEEN 13 AND 16 THEN 'worker-4711-1769770800000' END,
    "lastError" = CASE WHEN n BETWEEN 17 AND 22 THEN 'Original not found: /tmp/ingest/' || p.id || ending END,
    "updatedAt" = TIMESTAMP '2026-01-30 10:00:00' + i * interval '1 second'
FROM legacy_position AS p
WHERE t."id" = 'c' || substr(md5('job:' || p.id), 1, 24) AND (n < 11 OR n BETWEEN 13 AND 27);
INSERT INTO "Job" (
    "id", "type", "payload", "status", "attempts", "maxAttempts", "lastError", "imageId", "createdAt", "updatedAt"
)
SELECT
    'c' || substr(md5(type || id), 1, 24),
    type,
    '{"type":"' || type || '","imageId":"' || id || '","originalPath":"/tmp/storage/originals/' || checksum || ending || '"'
        || CASE type WHEN 'THUMBNAIL_GENERATION' THEN ',"sizes":[64,128,256,512]' ELSE '' END || '}',
    status,
    CASE status WHEN 'FAILED' THEN 3 ELSE 1 END,
    3,
    CASE status WHEN 'FAILED' THEN 'Input file is missing' END,
    id,
    TIMESTAMP '2026-01-30 10:00:01' + i * interval '1 second',
    TIMESTAMP '2026-01-30 10:00:03' + i * interval '1 second'
FROM application_job;
-- Uploads since then: two wait, and one is being worked on.
INSERT INTO "Image" (
    "id", "status", "title", "tempPath", "checksum", "mimeType", "width", "height", "sizeBytes", "createdAt", "updatedAt"
)
SELECT
    md5('upload:' || n)::uuid::text,
    (CASE n WHEN 3 THEN 'PROCESSING' ELSE 'INGESTED' END)::"ImageStatus",
    'upload ' || n,
    CASE n WHEN 3 THEN '/tmp/storage/originals/' ELSE '/tmp/ingest/' END || md5('upload:' || n)::uuid || '.png',
    md5('e' || n) || md5('f' || n),
    'image/png', 1024, 768, 5000 + n,
    TIMESTAMP '2026-02-10 09:00:00' + n * interval '1 minute',
    TIMESTAMP '2026-02-10 09:00:00' + n * interval '1 minute'
FROM generate_series(1, 3) AS n;
INSERT INTO "Job" (
    "id", "type", "payload", "status", "attempts", "maxAttempts", "lockedAt", "lockedBy", "imageId", "createdAt", "updatedAt"
)
SELECT
    'c' || substr(md5(one.type || one.n), 1, 24),
    one.type,
    '{"type":"' || one.type || '","imageId":"' || i."id" || '",'
        || CASE one.type WHEN 'OFFLOAD_ORIGINAL' THEN '"tempPath"' ELSE '"originalPath"' END || ':"' || i."tempPath" || '"'
        || CASE one.type WHEN 'OFFLOAD_ORIGINAL' THEN ',"checksum":"' || i."checksum" || '"'
            WHEN 'THUMBNAIL_GENERATION' THEN ',"sizes":[64,128,256,512]' ELSE '' END || '}',
    one.status,
    CASE one.status WHEN 'PENDING' THEN 0 ELSE 1 END,
    3,
    CASE one.status WHEN 'RUNNING' THEN TIMESTAMP '2026-02-10 09:05:00' END,
    CASE one.status WHEN 'RUNNING' THEN 'worker-88-1770714300000' END,
    i."id",
    i."createdAt",
    i."createdAt"
FROM (VALUES
    (1, 'OFFLOAD_ORIGINAL', 'PENDING'), (2, 'OFFLOAD_ORIGINAL', 'PENDING'), (3, 'OFFLOAD_ORIGINAL', 'COMPLETED'),
    (3, 'THUMBNAIL_GENERATION', 'RUNNING'), (3, 'PREVIEW_GENERATION', 'PENDING')
) AS one (n, type, status)
JOIN "Image" AS i ON i."title" = 'upload ' || one.n
