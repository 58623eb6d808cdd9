-- Jobs that wait for a first group, in their order, above a place.
CREATE OR REPLACE FUNCTION export_unclaimed(p_queue integer, p_after bigint, p_limit bigint)
RETURNS TABLE (place bigint, key bigint, since bigint) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT d.place, d.key, d.at FROM delivery d
    WHERE d.queue_id = p_queue AND d.state = 2 AND d.place > p_after ORDER BY d.place LIMIT p_limit;
END $$;
