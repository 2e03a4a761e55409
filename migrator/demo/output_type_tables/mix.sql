-- What the rows of one repeat look like; the values come from mix.py.
CREATE TEMPORARY TABLE legacy_mix (
    position INTEGER PRIMARY KEY,
    status TEXT,
    filename TEXT,
    subfolder TEXT,
    image_filename TEXT,
    audio_filename TEXT,
    width INTEGER,
    height INTEGER,
    trim_to_audio BOOLEAN,
    comfy_url TEXT,
    error_message TEXT,
    stored_name TEXT,
    submitted_ms BIGINT,
    duration_ms BIGINT,
    submitted_skew INTEGER,
    completed_skew INTEGER,
    short_id BOOLEAN
) ON COMMIT DROP;
