-- What the rows of one repeat look like; the values come from mix.py.
CREATE TEMPORARY TABLE legacy_mix (
    position INTEGER PRIMARY KEY,
    second INTEGER,
    email TEXT,
    name TEXT,
    pet_name TEXT,
    status TEXT,
    generated TEXT,
    upscale TEXT,
    original TEXT,
    pet_urls BOOLEAN,
    mockups TEXT,
    token TEXT,
    expires BOOLEAN,
    lasting BOOLEAN,
    "user" TEXT,
    product TEXT,
    order_status TEXT,
    sent BOOLEAN,
    reviewed BOOLEAN
) ON COMMIT DROP;

CREATE TEMPORARY TABLE legacy_users (role TEXT PRIMARY KEY, email TEXT) ON COMMIT DROP;
