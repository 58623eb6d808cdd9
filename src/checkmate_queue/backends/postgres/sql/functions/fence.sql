-- See Fencing.fence. Waits for the writers under way, since they hold the same lock shared.
--
-- Callers' transactions that have written into the inbox hold that shared; they are waited for first, for p_wait_ms.
-- o_status: ok; busy (some are still open, and nothing has changed). What they have committed is taken in by
-- `complete`, batch by batch: whoever finds a fenced queue calls that before it reads.
CREATE OR REPLACE FUNCTION fence(
    p_queue text, p_successor text, p_wait_ms integer,
    OUT o_status text
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_queue integer;
    v_fence text;
BEGIN
    PERFORM demand_isolation();
    o_status := 'ok';
    IF p_queue IS NULL THEN
        PERFORM fence_registry(p_successor);
        RETURN;
    END IF;
    SELECT q.id, q.fence INTO v_queue, v_fence FROM queue q WHERE q.name = p_queue;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown queue' USING ERRCODE = 'CQ001';
    END IF;
    IF v_fence IS NULL AND NOT close_inbox(v_queue, p_wait_ms) THEN
        o_status := 'busy';
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock('queue'::regclass::oid::integer, v_queue);
    UPDATE queue q SET fence = p_successor WHERE q.id = v_queue;
END $$;
