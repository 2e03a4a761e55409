-- Version 2: consumers, and the watch of an archive.

-- Who reads or writes the tables of a change, and on which side; without a row: old.
CREATE TABLE migrator.consumer (
    change text NOT NULL,
    name   text NOT NULL,
    side   text NOT NULL CHECK (side IN ('old', 'both', 'new')),
    note   text,
    at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (change, name)
);

-- Statements that wrote to a table while it was watched: append-only, no unique key, so that nobody waits for it.
CREATE TABLE migrator.watched_write (
    relation  oid NOT NULL,
    xid       xid8 NOT NULL,
    at        timestamptz NOT NULL,
    role      text NOT NULL,
    operation text NOT NULL
);
ALTER TABLE migrator.watched_write REPLICA IDENTITY FULL;

-- The watch. It runs in transactions of the application, whose roles need no right here, and never hides an error.
CREATE FUNCTION migrator.watch_write() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO migrator.watched_write (relation, xid, at, role, operation)
    VALUES (TG_RELID, pg_current_xact_id(), clock_timestamp(),
        coalesce(nullif(current_setting('role', true), 'none'), session_user::text), TG_OP);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION migrator.watch_write() FROM PUBLIC;
