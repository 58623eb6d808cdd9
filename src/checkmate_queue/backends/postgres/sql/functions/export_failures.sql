-- Failed entries above one, the oldest first: at most p_limit, and about p_bytes of payload.
CREATE OR REPLACE FUNCTION export_failures(p_queue integer, p_after bigint, p_limit bigint, p_bytes bigint)
RETURNS SETOF failed LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT f.* FROM (
        SELECT k.entry, sum(octet_length(k.data)) OVER (ORDER BY k.entry) - octet_length(k.data) AS before FROM (
            SELECT h.entry, h.data FROM failed h
            WHERE h.queue_id = p_queue AND h.entry > p_after ORDER BY h.entry LIMIT p_limit
        ) k
    ) b JOIN failed f ON f.entry = b.entry WHERE b.before < p_bytes ORDER BY f.entry;
END $$;
