-- See Inspector.stats: one row a group, and one without a name for what is in no group. What dropped groups have
-- not purged yet has expired; what transactions have committed waits to be taken in, as a delayed job waits.
CREATE OR REPLACE FUNCTION stats(p_queue text)
RETURNS TABLE (
    name text, ready bigint, delayed bigint, unclaimed bigint, processing bigint, completed bigint,
    failed bigint, expired bigint, cancelled bigint, oldest bigint
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_queue integer := (SELECT q.id FROM queue q WHERE q.name = p_queue);
BEGIN
    RETURN QUERY
    WITH known AS (
        SELECT g.id, g.name, g.dropped FROM consumer_group g WHERE g.queue_id = v_queue
        UNION ALL SELECT 0, NULL, false
    ), counted AS (
        SELECT
            c.group_id, c.ready, c.delayed, c.unclaimed, c.processing, c.completed, c.failed, c.expired,
            c.cancelled
        FROM counter c WHERE c.queue_id = v_queue
        UNION ALL
        SELECT
            m.group_id, m.ready, m.delayed, 0, m.processing, m.completed, m.failed, m.expired, m.cancelled
        FROM known k JOIN member m ON m.group_id = k.id
        UNION ALL
        SELECT 0, 0, i.jobs, 0, 0, 0, 0, 0, 0 FROM inbox i WHERE i.queue_id = v_queue
    ), summed AS (
        SELECT
            k.id, k.name, k.dropped,
            coalesce(sum(c.ready), 0) AS ready, coalesce(sum(c.delayed), 0) AS delayed,
            coalesce(sum(c.unclaimed), 0) AS unclaimed, coalesce(sum(c.processing), 0) AS processing,
            coalesce(sum(c.completed), 0) AS completed, coalesce(sum(c.failed), 0) AS failed,
            coalesce(sum(c.expired), 0) AS expired, coalesce(sum(c.cancelled), 0) AS cancelled
        FROM known k LEFT JOIN counted c ON c.group_id = k.id GROUP BY k.id, k.name, k.dropped
    )
    SELECT
        CASE WHEN s.dropped THEN NULL ELSE s.name END,
        CASE WHEN s.dropped THEN 0 ELSE s.ready END::bigint,
        CASE WHEN s.dropped THEN 0 ELSE s.delayed END::bigint,
        s.unclaimed::bigint,
        CASE WHEN s.dropped THEN 0 ELSE s.processing END::bigint,
        s.completed::bigint,
        s.failed::bigint,
        (s.expired + CASE WHEN s.dropped THEN s.ready + s.delayed + s.processing ELSE 0 END)::bigint,
        s.cancelled::bigint,
        CASE WHEN s.dropped THEN NULL ELSE oldest_ready(s.id) END
    FROM summed s ORDER BY s.name;
END $$;
