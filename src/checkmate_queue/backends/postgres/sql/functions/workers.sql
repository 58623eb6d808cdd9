-- See Inspector.workers.
CREATE OR REPLACE FUNCTION workers(p_queue text, p_now bigint)
RETURNS TABLE (
    worker text, number bigint, groups text[], expires_at bigint, processing bigint, report bytea
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_queue integer := (SELECT q.id FROM queue q WHERE q.name = p_queue);
BEGIN
    RETURN QUERY
    SELECT
        l.worker, l.number,
        ARRAY(
            SELECT g.name FROM member m JOIN consumer_group g ON g.id = m.group_id
            WHERE m.epoch = l.number AND NOT g.dropped ORDER BY g.name
        ),
        l.expires_at,
        (SELECT count(*) FROM delivery d WHERE d.epoch = l.number AND d.state = 1 AND NOT d.lapsed),
        (SELECT e.report FROM epoch e WHERE e.number = l.number)
    FROM living_epochs(v_queue, p_now) l ORDER BY l.number;
END $$;
