-- Deliveries that epochs hold, by the number of the claim, above one.
CREATE OR REPLACE FUNCTION export_claims(p_queue integer, p_after bigint, p_limit bigint)
RETURNS TABLE (
    number bigint, key bigint, group_id integer, attempts integer, stalls integer, since bigint, epoch bigint,
    exchange bigint, cancelled boolean, lapsed boolean
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT
        c.place, c.key, c.group_id, c.attempts, c.stalls, c.at, c.epoch, coalesce(c.exchange, 0), c.cancelled,
        c.lapsed
    FROM epoch e CROSS JOIN LATERAL (
        SELECT d.* FROM delivery d WHERE d.epoch = e.number AND d.state = 1 AND d.place > p_after
        ORDER BY d.place LIMIT p_limit
    ) c
    WHERE e.queue_id = p_queue ORDER BY c.place LIMIT p_limit;
END $$;
