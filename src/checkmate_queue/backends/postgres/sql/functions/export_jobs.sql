-- Jobs above a key, in key order: at most p_limit, and about p_bytes of payload. due_at: of a delayed one.
CREATE OR REPLACE FUNCTION export_jobs(p_queue integer, p_after bigint, p_limit bigint, p_bytes bigint)
RETURNS TABLE (
    key bigint, id text, schedule text, data bytea, metadata bytea, priority integer, enqueued_at bigint,
    due_at bigint, expires_at bigint, drop_unclaimed boolean, token text, format smallint
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT
        b.key, b.id, b.schedule, b.data, b.metadata, b.priority, b.enqueued_at,
        (SELECT d.at FROM delivery d WHERE d.key = b.key AND d.group_id = 0 AND d.state = 4),
        b.expires_at, b.drop_unclaimed, b.token, b.format
    FROM (
        SELECT j.*, sum(octet_length(j.data)) OVER (ORDER BY j.key) - octet_length(j.data) AS before FROM (
            SELECT k.* FROM job k WHERE k.queue_id = p_queue AND k.key > p_after ORDER BY k.key LIMIT p_limit
        ) j
    ) b WHERE b.before < p_bytes ORDER BY b.key;
END $$;
