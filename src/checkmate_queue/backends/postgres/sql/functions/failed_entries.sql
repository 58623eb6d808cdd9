-- See Inspector.failed: entries below p_before, the newest first: at most p_limit, and about 4 MiB of payload.
CREATE OR REPLACE FUNCTION failed_entries(p_queue text, p_group text, p_before bigint, p_limit bigint)
RETURNS TABLE (
    entry bigint, id text, group_name text, data bytea, error_type bytea, message bytea, traceback bytea,
    attempts integer, failed_at bigint
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_queue integer := (SELECT q.id FROM queue q WHERE q.name = p_queue);
BEGIN
    RETURN QUERY
    SELECT
        f.entry, f.id, f.group_name, f.data, f.error_type, f.message, f.traceback, f.attempts, f.failed_at
    FROM (
        SELECT k.*, sum(octet_length(k.data)) OVER (ORDER BY k.entry DESC) - octet_length(k.data) AS before FROM (
            SELECT * FROM failed e
            WHERE e.queue_id = v_queue AND e.entry < p_before AND (p_group IS NULL OR e.group_name = p_group)
            ORDER BY e.entry DESC LIMIT p_limit
        ) k
    ) f WHERE f.before < answer_bytes() ORDER BY f.entry DESC;
END $$;
