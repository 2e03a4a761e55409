-- What the rows of one repeat look like; the values come from mix.py.
CREATE TEMPORARY TABLE legacy_mix (
    position INTEGER PRIMARY KEY,
    status TEXT,
    subject TEXT,
    original_image_url TEXT,
    processed_image_url TEXT,
    denoise DOUBLE PRECISION,
    error_message TEXT,
    created INTEGER,
    updated INTEGER
) ON COMMIT DROP;
