-- Version 3: what stood in a column before it was written.

ALTER TABLE migrator.before_image ADD COLUMN before jsonb NOT NULL DEFAULT '{}';
