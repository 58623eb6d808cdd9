-- Up to about how many bytes of payload one answer holds, so that none outlasts a caller's patience.
CREATE OR REPLACE FUNCTION answer_bytes() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 4194304 $$;
