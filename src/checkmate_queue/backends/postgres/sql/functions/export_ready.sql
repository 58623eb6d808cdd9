-- Ready deliveries of a group in starting order, behind a priority and a place.
CREATE OR REPLACE FUNCTION export_ready(p_group integer, p_priority integer, p_place bigint, p_limit bigint)
RETURNS TABLE (
    priority integer, place bigint, key bigint, attempts integer, stalls integer, since bigint, started boolean
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT d.priority, d.place, d.key, d.attempts, d.stalls, d.at, d.started FROM (
        (SELECT s.* FROM delivery s
         WHERE s.group_id = p_group AND s.state = 0 AND s.priority = p_priority AND s.place > p_place
         ORDER BY s.place LIMIT p_limit)
        UNION ALL
        (SELECT l.* FROM delivery l
         WHERE l.group_id = p_group AND l.state = 0 AND l.priority < p_priority
         ORDER BY l.priority DESC, l.place LIMIT p_limit)
    ) d ORDER BY d.priority DESC, d.place LIMIT p_limit;
END $$;
