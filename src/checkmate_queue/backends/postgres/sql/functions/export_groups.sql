-- The groups of a queue by name, their times as of its last contact.
CREATE OR REPLACE FUNCTION export_groups(p_queue integer)
RETURNS TABLE (
    id integer, name text, ephemeral boolean, max_stalls integer, registered_at bigint, unattended_ms bigint,
    warned_at bigint
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT
        g.id, g.name, g.ephemeral, g.max_stalls, g.registered_at, coalesce(u.total, g.unattended_ms), g.warned_at
    FROM consumer_group g
    LEFT JOIN (
        SELECT t.* FROM contact c CROSS JOIN LATERAL unattended(p_queue, c.at) t WHERE c.queue_id = p_queue
    ) u ON u.group_id = g.id
    WHERE g.queue_id = p_queue AND NOT g.dropped ORDER BY g.name;
END $$;
