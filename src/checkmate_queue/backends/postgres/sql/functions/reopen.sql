-- See Moving.reopen.
CREATE OR REPLACE FUNCTION reopen(p_successor text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('queue'::regclass::oid::integer, 0);
    UPDATE queue q SET fence = NULL WHERE q.fence = p_successor;
    DELETE FROM meta m WHERE m.key = 'fence' AND m.value = p_successor;
    IF FOUND THEN
        UPDATE meta m SET key = 'fence' WHERE m.key = 'fence before';
    END IF;
END $$;
