-- From now on no queue becomes known. Waits for those that register one, since they hold the same lock shared.
CREATE OR REPLACE FUNCTION fence_registry(p_successor text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('queue'::regclass::oid::integer, 0);
    INSERT INTO meta (key, value) VALUES ('fence', p_successor)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;
END $$;
