-- The images of Phase 1 by their number: what each is called and where its file lies follows from seed and number alone.
CREATE TEMPORARY TABLE legacy_position (
    i integer, n integer, id text, checksum text, ending text, moment timestamp
) ON COMMIT DROP;
INSERT INTO legacy_position
SELECT
    i,
    mod(i, 250),
    named.id,
    md5('a' || named.id) || md5('b' || named.id),
    CASE WHEN mod(i, 50) = 11 THEN '.bin' ELSE '.jpg' END,
    TIMESTAMP '2026-01-27 08:00:00' + i * interval '61 seconds' + mod(i, 1000) * interval '1 ms'
FROM (SELECT i, md5(%(seed)s || ':' || i) AS hash FROM generate_series(0, %(images)s - 1) AS i OFFSET 0) AS numbered
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN mod(i, 2) = 0 THEN overlay(overlay(hash PLACING '4' FROM 13) PLACING '8' FROM 17)::uuid::text
        ELSE 'c' || left(hash, 24)
    END AS id
) AS named
