-- The first half of Moving.receive: close the store and note the move; false where it is not empty. What is left
-- in it goes with `empty`, whose lock on the queues comes after this transaction or before it.
CREATE OR REPLACE FUNCTION receive(p_token text, p_successor text) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('queue'::regclass::oid::integer, 0);
    IF NOT is_vacant() THEN
        RETURN false;
    END IF;
    IF NOT EXISTS (
        SELECT FROM meta m WHERE m.key = 'receiving' AND NOT (m.value::jsonb ->> 'admitted')::boolean
    ) THEN
        DELETE FROM meta m WHERE m.key = 'fence before';
        INSERT INTO meta (key, value) SELECT 'fence before', m.value FROM meta m WHERE m.key = 'fence';
    END IF;
    PERFORM fence_registry(p_successor);
    INSERT INTO meta (key, value)
    VALUES ('receiving', jsonb_build_object('token', p_token, 'batches', 0, 'admitted', false)::text)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    RETURN true;
END $$;
