-- The channel on which sleepers of this schema are told that there is something to do.
CREATE OR REPLACE FUNCTION channel() RETURNS text LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT 'checkmate_queue_' || 'queue'::regclass::oid
$$;
