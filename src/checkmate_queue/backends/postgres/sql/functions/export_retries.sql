-- Deliveries that wait for a retry, by due time, behind one of them.
CREATE OR REPLACE FUNCTION export_retries(
    p_queue integer, p_at bigint, p_key bigint, p_group integer, p_limit bigint
)
RETURNS TABLE (due_at bigint, key bigint, group_id integer, attempts integer, stalls integer)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT d.at, d.key, d.group_id, d.attempts, d.stalls FROM delivery d
    WHERE d.queue_id = p_queue AND d.state >= 3 AND d.state = 3
      AND (d.at, d.key, d.group_id) > (p_at, p_key, p_group)
    ORDER BY d.at, d.key, d.group_id LIMIT p_limit;
END $$;
