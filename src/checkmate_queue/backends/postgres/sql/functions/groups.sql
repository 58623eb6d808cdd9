-- See Inspector.groups.
CREATE OR REPLACE FUNCTION groups(p_queue text, p_now bigint)
RETURNS TABLE (
    name text, ephemeral boolean, max_stalls integer, workers bigint, registered_at bigint
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_queue integer := (SELECT q.id FROM queue q WHERE q.name = p_queue);
BEGIN
    RETURN QUERY
    SELECT
        g.name, g.ephemeral, g.max_stalls,
        (SELECT count(*) FROM member m JOIN living_epochs(v_queue, p_now) l ON l.number = m.epoch
         WHERE m.group_id = g.id),
        g.registered_at
    FROM consumer_group g WHERE g.queue_id = v_queue AND NOT g.dropped ORDER BY g.name;
END $$;
