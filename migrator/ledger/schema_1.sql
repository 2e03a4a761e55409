-- The Ledger: what has happened, in schema migrator of the same database. Version 1; later files bring it further.
-- Nothing of ours stands outside this schema but what a change declares.

COMMENT ON SCHEMA migrator IS 'Ledger of migrator: what was moved, from where, by which rule. Removed by: migrator ledger remove';

CREATE TABLE migrator.meta (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version      integer NOT NULL,
    database     text NOT NULL,
    tool         text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now()
);

-- Who may run a change. The fence only grows; a batch holds its lease row FOR SHARE until COMMIT.
CREATE TABLE migrator.lease (
    change   text PRIMARY KEY,
    fence    bigint NOT NULL DEFAULT 0,
    held     boolean NOT NULL DEFAULT false,
    holder   text NOT NULL DEFAULT '',
    verb     text NOT NULL DEFAULT '',
    taken_at timestamptz
);

-- In a row of its own, so that beating never waits for a batch.
CREATE TABLE migrator.heartbeat (
    change  text PRIMARY KEY REFERENCES migrator.lease,
    fence   bigint NOT NULL DEFAULT 0,
    beat    bigint NOT NULL DEFAULT 0,
    backend integer,
    beat_at timestamptz
);

CREATE TABLE migrator.run (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change     text NOT NULL,
    verb       text NOT NULL,
    fence      bigint NOT NULL,
    holder     text NOT NULL,
    tool       text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    outcome    text
);

CREATE TABLE migrator.step (
    change  text NOT NULL,
    phase   text NOT NULL CHECK (phase IN ('expand', 'backfill', 'verify', 'switch', 'archive', 'drop')),
    name    text NOT NULL,
    status  text NOT NULL CHECK (status IN ('started', 'done', 'undoing')),
    origin  text NOT NULL DEFAULT 'created' CHECK (origin IN ('created', 'adopted')),
    undo    jsonb NOT NULL DEFAULT '{}',
    run     bigint NOT NULL REFERENCES migrator.run,
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (change, phase, name)
);

CREATE TABLE migrator.backfill (
    id         smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change     text NOT NULL,
    name       text NOT NULL,
    source     text NOT NULL,
    target     text NOT NULL,
    source_key text[] NOT NULL,
    identity   text[] NOT NULL,
    UNIQUE (change, name)
);

-- Each text a backfill was ever run by; provenance says by which.
CREATE TABLE migrator.definition (
    backfill   smallint NOT NULL REFERENCES migrator.backfill ON DELETE CASCADE,
    number     integer NOT NULL,
    digest     text NOT NULL,
    facts      text NOT NULL,
    marks      text[] NOT NULL,
    compared   text[] NOT NULL, -- target columns a digest of this definition covers, in order
    algorithm  text NOT NULL,
    server     integer NOT NULL,
    tool       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (backfill, number),
    UNIQUE (backfill, digest, marks, compared, algorithm, server)
);

-- An interval (lo, hi] of source keys, as text; NULL is unbounded. position is the Checkpoint.
CREATE TABLE migrator.range (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    backfill    smallint NOT NULL REFERENCES migrator.backfill ON DELETE CASCADE,
    lo          text[],
    hi          text[],
    position    text[],
    rows        bigint NOT NULL,
    done        boolean NOT NULL DEFAULT false,
    careful     boolean NOT NULL DEFAULT false,
    read        bigint NOT NULL DEFAULT 0,
    moved       bigint NOT NULL DEFAULT 0,
    merged      bigint NOT NULL DEFAULT 0,
    skipped     bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0
);
CREATE INDEX range_open ON migrator.range (backfill, id) WHERE NOT done;

CREATE TABLE migrator.quarantine (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    backfill       smallint NOT NULL REFERENCES migrator.backfill ON DELETE CASCADE,
    source_key     text[] NOT NULL,
    reason         text NOT NULL,
    sqlstate       text,
    constraint_name text,
    message        text,
    source_row     json NOT NULL, -- not jsonb: the row as it is, NUL escapes included
    status         text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'dismissed')),
    note           text,
    definition     integer NOT NULL,
    run            bigint NOT NULL REFERENCES migrator.run,
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (backfill, source_key)
);

-- Keys that may have changed or whose insert was contested: append-only, no order, no unique key.
CREATE TABLE migrator.change_log (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    backfill   smallint NOT NULL,
    source_key text[] NOT NULL,
    attempts   integer NOT NULL DEFAULT 1
);
ALTER TABLE migrator.change_log REPLICA IDENTITY FULL;

-- Columns of an application's row that a merge completed: they were NULL before, this is what was written.
CREATE TABLE migrator.before_image (
    backfill   smallint NOT NULL REFERENCES migrator.backfill ON DELETE CASCADE,
    target_key text[] NOT NULL,
    filled     jsonb NOT NULL,
    run        bigint NOT NULL REFERENCES migrator.run,
    PRIMARY KEY (backfill, target_key)
);

-- The lines of File parameters.
CREATE TABLE migrator.parameter_line (
    change    text NOT NULL,
    parameter text NOT NULL,
    digest    text NOT NULL,
    key       text NOT NULL,
    value     text NOT NULL,
    PRIMARY KEY (change, parameter, key)
);

-- Verdicts of verify; "verified" is derived from the newest one and what it was a proof of.
CREATE TABLE migrator.proof (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change   text NOT NULL,
    proven   boolean NOT NULL,
    subject  text NOT NULL,
    evidence jsonb NOT NULL,
    run      bigint NOT NULL REFERENCES migrator.run,
    at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX proof_newest ON migrator.proof (change, id DESC);

CREATE TABLE migrator.event (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run    bigint NOT NULL REFERENCES migrator.run,
    kind   text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}',
    at     timestamptz NOT NULL DEFAULT now()
);

-- What pg_input_is_valid() does from PostgreSQL 16 on; used on 14 and 15.
CREATE FUNCTION migrator.is_valid_input(value text, type text) RETURNS boolean
    LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('SELECT $1::%s', type) USING value;
    RETURN true;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    RETURN false;
END
$$;

REVOKE ALL ON SCHEMA migrator FROM PUBLIC;
