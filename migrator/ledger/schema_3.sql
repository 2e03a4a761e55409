-- Version 3: what stood in a column before it was written.

ALTER TABLE migrator.before_image ADD COLUMN before jsonb NOT NULL DEFAULT '{}';
ALTER TABLE migrator.before_image RENAME filled TO written;
COMMENT ON TABLE migrator.before_image IS
    'Of a target row that was there and that we wrote to: text images by column, what was there and what was written';

-- Values that a downgrade replaced because their type goes: what each row held, by its primary key.
CREATE TABLE migrator.replaced_value (
    change      text NOT NULL,
    relation    text NOT NULL,
    column_name text NOT NULL,
    row_key     text[] NOT NULL,
    value       text NOT NULL,
    became      text NOT NULL,
    run         bigint NOT NULL REFERENCES migrator.run,
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX replaced_value_key ON migrator.replaced_value (relation, row_key);

-- Cohorts that are being moved, or taken back (leaving); a cohort is what its rows have in common, such as an address.
CREATE TABLE migrator.cohort (
    change   text NOT NULL,
    member   text COLLATE "C" NOT NULL,
    moved_at timestamptz,
    leaving  boolean NOT NULL DEFAULT false,
    run      bigint NOT NULL REFERENCES migrator.run,
    PRIMARY KEY (change, member)
);

-- How many cohorts there were in all sources, when last counted.
CREATE TABLE migrator.cohort_total (
    change text PRIMARY KEY,
    total  bigint NOT NULL
);

-- For the application: cohorts of which every row is moved.
CREATE VIEW migrator.cohort_member AS
    SELECT change, member, moved_at FROM migrator.cohort WHERE moved_at IS NOT NULL;
