-- Version 3: what stood in a column before it was written.

ALTER TABLE migrator.before_image ADD COLUMN before jsonb NOT NULL DEFAULT '{}';
ALTER TABLE migrator.before_image RENAME filled TO written;
COMMENT ON TABLE migrator.before_image IS
    'Of a target row that was there and that we wrote to: text images by column, what was there and what was written';
