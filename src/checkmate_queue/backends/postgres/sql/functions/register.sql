-- See Lifecycle.register. Raises CQ002 where the queue is fenced, or it is not known and the registry is.
CREATE OR REPLACE FUNCTION register(p_queue text, p_now bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_now bigint := coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
    v_fence text;
BEGIN
    PERFORM demand_isolation();
    SELECT q.fence INTO v_fence FROM queue q WHERE q.name = p_queue;
    IF v_fence IS NOT NULL THEN
        RAISE EXCEPTION 'fenced queue' USING ERRCODE = 'CQ002', DETAIL = v_fence;
    ELSIF FOUND THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock_shared('queue'::regclass::oid::integer, 0);
    SELECT m.value INTO v_fence FROM meta m WHERE m.key = 'fence';
    IF FOUND THEN
        RAISE EXCEPTION 'fenced registry' USING ERRCODE = 'CQ002', DETAIL = v_fence;
    END IF;
    INSERT INTO queue (name) VALUES (p_queue) ON CONFLICT (name) DO NOTHING;
    INSERT INTO contact (queue_id, at, attended_at)
    SELECT q.id, v_now, v_now FROM queue q WHERE q.name = p_queue
    ON CONFLICT (queue_id) DO NOTHING;
END $$;
