-- See Fencing.fence. Waits for the writers under way, since they hold the same lock shared.
CREATE OR REPLACE FUNCTION fence(p_queue text, p_successor text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_queue integer;
BEGIN
    PERFORM demand_isolation();
    IF p_queue IS NULL THEN
        PERFORM pg_advisory_xact_lock('queue'::regclass::oid::integer, 0);
        INSERT INTO meta (key, value) VALUES ('fence', p_successor)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value;
        RETURN;
    END IF;
    SELECT q.id INTO v_queue FROM queue q WHERE q.name = p_queue;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown queue' USING ERRCODE = 'CQ001';
    END IF;
    PERFORM pg_advisory_xact_lock('queue'::regclass::oid::integer, v_queue);
    UPDATE queue q SET fence = p_successor WHERE q.id = v_queue;
END $$;
