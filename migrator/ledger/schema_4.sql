-- Version 4: objects that move with their rows.

-- An object that a row names, what was found out about it, and what came of copying it. Buckets and keys from_ and to_
-- are as the definition declares them: '' is the bucket of [s3], and {ext} stands where the content type decides.
CREATE TABLE migrator.object (
    id             bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    change         text NOT NULL,
    backfill       text NOT NULL,
    name           text NOT NULL,
    source_key     text[] NOT NULL,
    kind           text NOT NULL DEFAULT 'copy' CHECK (kind IN ('copy', 'document')),
    from_bucket    text NOT NULL,
    from_key       text NOT NULL,
    to_bucket      text NOT NULL,
    to_key         text NOT NULL,
    -- Once looked at: the buckets as they are called, what {ext} became, and the source.
    source_bucket  text,
    target_bucket  text,
    extension      text,
    size           bigint,
    etag           text,
    content_type   text,
    since          timestamptz, -- by the store's clock, committed before the first attempt that may make the target
    outcome        text,        -- NULL: not yet
    detail         text,
    evidence       text,
    -- The object at the target; ours to remove only where the outcome is 'copied'.
    made_etag      text,
    made_version   text,
    made_size      bigint,
    made_checksums jsonb,
    not_kept       text[],      -- what of the source the copy could not keep
    run            bigint REFERENCES migrator.run,
    at             timestamptz,
    PRIMARY KEY (change, backfill, name, source_key)
);
-- One key, one row: as declared, and as it became. Longer names than there can be are faults, and in no index.
CREATE UNIQUE INDEX object_declared ON migrator.object
    (left(to_bucket, 100), (CASE WHEN octet_length(to_key) <= 1100 THEN to_key END))
    WHERE outcome IS DISTINCT FROM 'another row has this key';
CREATE UNIQUE INDEX object_target ON migrator.object
    (left(target_bucket, 100), (CASE WHEN octet_length(to_key) <= 1100 THEN replace(to_key, '{ext}', extension) END))
    WHERE outcome IS DISTINCT FROM 'another row has this key';
CREATE INDEX object_open ON migrator.object (change, backfill, id) WHERE outcome IS NULL;

-- Objects that a definition of before asked for, and that may have been made: kept until undo.
CREATE TABLE migrator.former_object (LIKE migrator.object, PRIMARY KEY (id));
