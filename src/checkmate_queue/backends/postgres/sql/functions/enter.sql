-- Begin a writing verb: know the queue, hold off its fence, note the contact.
--
-- p_exclusive: true for verbs that change who there is (groups, members, epochs); all others run side by
-- side. The lock lasts until the end of the transaction. Raises CQ001 (unknown) and CQ002 (fenced).
CREATE OR REPLACE FUNCTION enter(
    p_queue text, p_now bigint, p_exclusive boolean,
    OUT o_queue integer, OUT o_now bigint, OUT o_paused boolean
) LANGUAGE plpgsql AS $$
DECLARE
    v_fence text;
    v_seen bigint;
BEGIN
    PERFORM demand_isolation();
    SELECT q.id, CASE
        WHEN p_exclusive THEN pg_advisory_xact_lock('queue'::regclass::oid::integer, q.id)
        ELSE pg_advisory_xact_lock_shared('queue'::regclass::oid::integer, q.id)
    END INTO o_queue FROM queue q WHERE q.name = p_queue;
    SELECT q.fence, q.paused, c.at INTO v_fence, o_paused, v_seen
    FROM queue q JOIN contact c ON c.queue_id = q.id WHERE q.id = o_queue;
    IF NOT FOUND THEN  -- never known, or moved away with the whole store
        SELECT m.value INTO v_fence FROM meta m WHERE m.key = 'fence';
        IF NOT FOUND THEN
            RAISE EXCEPTION 'unknown queue' USING ERRCODE = 'CQ001';
        END IF;
    END IF;
    IF v_fence IS NOT NULL THEN
        RAISE EXCEPTION 'fenced queue' USING ERRCODE = 'CQ002', DETAIL = v_fence;
    END IF;
    o_now := coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
    IF o_now - v_seen >= 100 OR o_now - v_seen < -1000 THEN
        PERFORM note_contact(o_queue, o_now);
    ELSE
        o_now := greatest(o_now, v_seen);  -- a small step back revives no epoch
    END IF;
END $$;
