-- The first half of Moving.clear: the move into this store that is noted has no effect any more. False, and
-- nothing changes, where the store's fence says something else.
CREATE OR REPLACE FUNCTION clear(p_successor text) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('queue'::regclass::oid::integer, 0);
    IF NOT EXISTS (SELECT FROM meta m WHERE m.key = 'fence' AND m.value = p_successor) THEN
        RETURN false;
    END IF;
    DELETE FROM meta m WHERE m.key = 'receiving';
    RETURN true;
END $$;
