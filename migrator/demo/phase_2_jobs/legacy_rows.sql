-- Every value follows from the seed and the image's number alone: no clock and no chance.
INSERT INTO "Image" (
    "id", "status", "title", "tempPath", "checksum", "mimeType", "width", "height", "sizeBytes", "createdAt", "updatedAt"
)
SELECT
    id,
    'INGESTED',
    CASE WHEN mod(i, 10) > 0 THEN 'IMG_' || i END,
    '/tmp/ingest/' || id || ending,
    checksum,
    CASE ending WHEN '.bin' THEN 'application/octet-stream' ELSE 'image/jpeg' END,
    4000, 3000, 1000000 + i, moment, moment
FROM legacy_position;
INSERT INTO "Job" ("id", "type", "payload", "status", "createdAt", "updatedAt")
SELECT
    'c' || substr(md5('job:' || id), 1, 24),
    'OFFLOAD_ORIGINAL',
    CASE n
        WHEN 243 THEN '{"type":"OFFLOAD_ORIGINAL","imageId":"' || id || '","tempPath":"/tmp/ing'
        WHEN 244 THEN '[object Object]'
        ELSE '{"type":"OFFLOAD_ORIGINAL","imageId":"' || id || '","tempPath":"/tmp/ingest/' || id || ending
            || '","checksum":"' || checksum || '"}'
    END,
    CASE n WHEN 240 THEN 'DONE' WHEN 241 THEN 'pending' WHEN 242 THEN ' ' ELSE 'PENDING' END,
    moment + interval '40 ms',
    moment + interval '40 ms'
FROM legacy_position
WHERE n < 245;
-- The request failed after the job was there: the image is gone again, the job stays.
INSERT INTO "Job" ("id", "type", "payload", "status", "createdAt", "updatedAt")
SELECT
    'c' || substr(md5('orphan:' || id), 1, 24),
    'OFFLOAD_ORIGINAL',
    '{"type":"OFFLOAD_ORIGINAL","imageId":"' || md5('gone:' || id)::uuid || '","tempPath":"/tmp/ingest/'
        || md5('gone:' || id)::uuid || '.jpg","checksum":"' || md5('c' || id) || md5('d' || id) || '"}',
    'PENDING',
    moment + interval '20 seconds',
    moment + interval '20 seconds'
FROM legacy_position
WHERE n < 6;
INSERT INTO "Collection" ("id", "name", "createdAt", "updatedAt")
SELECT 'c' || left(md5('collection:' || name), 24), name, TIMESTAMP '2026-01-28 12:00:00', TIMESTAMP '2026-01-28 12:00:00'
FROM unnest(ARRAY['Holidays', 'Família', 'Work']) AS name
