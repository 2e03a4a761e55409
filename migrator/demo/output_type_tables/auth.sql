-- The two things of the hosting service's own schema that the new tables refer to.
CREATE SCHEMA auth;

CREATE TABLE auth.users (
    id UUID PRIMARY KEY,
    email TEXT UNIQUE
);

CREATE FUNCTION auth.uid() RETURNS uuid
LANGUAGE sql STABLE
AS $$
    SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid
$$;

GRANT USAGE ON SCHEMA auth TO PUBLIC;

INSERT INTO auth.users (id, email)
SELECT md5('user:' || n)::uuid, 'user' || n || '@example.com'
FROM generate_series(1, 3) AS n;
