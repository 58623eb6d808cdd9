-- A page of jobs in key order, at most p_limit and about 4 MiB of payload, with the states of their deliveries in
-- parallel arrays: candidates for p_state (NULL: all), or with p_id the jobs of that id, a user's first. A row whose
-- o_groups is NULL has ended.
-- Last, on pages of their own, come those that transactions have committed and nobody has taken in; their keys are
-- above all others.
CREATE OR REPLACE FUNCTION jobs(
    p_queue text, p_now bigint, p_unclaimed_ms bigint, p_id text, p_state text, p_after bigint, p_limit bigint
)
RETURNS TABLE (
    key bigint, id text, data bytea, priority integer, enqueued_at bigint, metadata bytea, expires_at bigint,
    occurrence boolean, groups text[], states text[], due_at bigint
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_queue integer := (SELECT q.id FROM queue q WHERE q.name = p_queue);
    v_now bigint := coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
    v_keys bigint[];
    v_inbox bigint := 1::bigint << 62;
BEGIN
    IF p_id IS NOT NULL THEN
        v_keys := ARRAY(
            SELECT j.key FROM job j WHERE j.queue_id = v_queue AND j.id = p_id AND j.schedule IS NULL
            UNION ALL
            SELECT j.key FROM job j WHERE j.queue_id = v_queue AND j.id = p_id AND j.schedule IS NOT NULL
        );
    ELSIF p_state = 'delayed' THEN
        v_keys := ARRAY(
            SELECT d.key FROM delivery d
            WHERE d.queue_id = v_queue AND d.state = 4 AND d.key > p_after ORDER BY d.key LIMIT p_limit
        );
    ELSIF p_state = 'retrying' THEN
        v_keys := ARRAY(
            SELECT DISTINCT d.key FROM delivery d
            WHERE d.queue_id = v_queue AND d.state = 3 AND d.key > p_after ORDER BY d.key LIMIT p_limit
        );
    ELSIF p_state = 'unclaimed' THEN
        v_keys := ARRAY(
            SELECT d.key FROM delivery d
            WHERE d.queue_id = v_queue AND d.state = 2 AND d.key > p_after ORDER BY d.key LIMIT p_limit
        );
    ELSIF p_state = 'processing' THEN
        v_keys := ARRAY(
            SELECT DISTINCT d.key FROM epoch e JOIN delivery d ON d.epoch = e.number AND d.state = 1
            WHERE e.queue_id = v_queue AND d.key > p_after ORDER BY d.key LIMIT p_limit
        );
    ELSE
        v_keys := ARRAY(
            SELECT j.key FROM job j WHERE j.queue_id = v_queue AND j.key > p_after ORDER BY j.key LIMIT p_limit
        );
    END IF;
    v_keys := ARRAY(
        SELECT b.key FROM (
            SELECT j.key, sum(octet_length(j.data)) OVER (ORDER BY j.key) - octet_length(j.data) AS before
            FROM job j WHERE j.queue_id = v_queue AND j.key = ANY (v_keys)
        ) b WHERE b.before < answer_bytes() OR p_id IS NOT NULL
    );
    RETURN QUERY
    SELECT
        j.key, j.id, j.data, j.priority, j.enqueued_at, j.metadata, j.expires_at, j.schedule IS NOT NULL,
        o.names, o.states, o.due
    FROM job j LEFT JOIN (
        SELECT
            d.key, array_agg(d.name) AS names,
            array_agg(CASE d.state
                WHEN 0 THEN 'pending' WHEN 1 THEN 'processing' WHEN 2 THEN 'unclaimed' WHEN 3 THEN 'retrying'
                ELSE 'delayed'
            END) AS states,
            max(d.at) FILTER (WHERE d.state = 4) AS due
        FROM open_deliveries(v_keys, v_now, p_unclaimed_ms) d GROUP BY d.key
    ) o ON o.key = j.key
    WHERE j.queue_id = v_queue AND j.key = ANY (v_keys) ORDER BY j.key;
    IF p_state IS DISTINCT FROM 'delayed' AND p_state IS NOT NULL
        OR cardinality(v_keys) >= least(p_limit, CASE WHEN p_id IS NULL THEN 1 END)
    THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT
        w.place, w.id, w.data, w.priority, w.at, w.metadata, w.at + w.expiry, false,
        ARRAY[NULL::text], ARRAY['delayed'], w.at + w.delay
    FROM (
        SELECT l.*, sum(octet_length(l.data)) OVER (ORDER BY l.place) - octet_length(l.data) AS before FROM (
            SELECT v_inbox + i.key * 1000 + u.ord AS place, i.at, u.*
            FROM inbox i CROSS JOIN LATERAL unnest(
                i.ids, i.data, i.metadata, i.priorities, i.delays, i.expiries
            ) WITH ORDINALITY u(id, data, metadata, priority, delay, expiry, ord)
            WHERE i.queue_id = v_queue AND i.key >= (p_after - v_inbox) / 1000 - 1
              AND v_inbox + i.key * 1000 + u.ord > p_after
              AND (p_id IS NULL OR u.id = p_id) AND coalesce(i.at + u.expiry > v_now, true)
            ORDER BY i.key, u.ord LIMIT p_limit
        ) l
    ) w WHERE w.before < answer_bytes() ORDER BY w.place;
END $$;
