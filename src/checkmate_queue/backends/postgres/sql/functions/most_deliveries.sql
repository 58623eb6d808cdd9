-- Up to about how many deliveries one step makes, so that none outlasts a caller's patience.
CREATE OR REPLACE FUNCTION most_deliveries() RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 5000 $$;
