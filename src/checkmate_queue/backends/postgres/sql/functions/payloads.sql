-- The payloads of the first of these jobs, about 4 MiB: call again for the rest. Those that have ended are left out.
CREATE OR REPLACE FUNCTION payloads(p_queue text, p_keys bigint[])
RETURNS TABLE (key bigint, data bytea, metadata bytea) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_queue integer := (SELECT q.id FROM queue q WHERE q.name = p_queue);
BEGIN
    RETURN QUERY
    SELECT b.key, b.data, b.metadata FROM (
        SELECT
            j.key, j.data, j.metadata, u.ord,
            sum(octet_length(j.data) + octet_length(j.metadata)) OVER (ORDER BY u.ord)
                - octet_length(j.data) - octet_length(j.metadata) AS before
        FROM unnest(p_keys) WITH ORDINALITY u(key, ord) JOIN job j ON j.queue_id = v_queue AND j.key = u.key
    ) b WHERE b.before < answer_bytes() ORDER BY b.ord;
END $$;
