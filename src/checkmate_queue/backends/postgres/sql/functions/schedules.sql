-- See Scheduling.schedules: of those in p_ids, or where it is NULL of all, the first p_limit above p_after, and about
-- 4 MiB of payload of them: call again above the last.
CREATE OR REPLACE FUNCTION schedules(p_queue text, p_ids text[], p_after text, p_limit bigint)
RETURNS SETOF plan LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_queue integer := (SELECT q.id FROM queue q WHERE q.name = p_queue);
    v_ids text[] := p_ids;
BEGIN
    IF v_queue IS NULL THEN
        RAISE EXCEPTION 'unknown queue' USING ERRCODE = 'CQ001';
    END IF;
    IF v_ids IS NULL THEN
        v_ids := ARRAY(
            SELECT s.id FROM schedule s WHERE s.queue_id = v_queue AND s.id > p_after ORDER BY s.id LIMIT p_limit
        );
    END IF;
    v_ids := ARRAY(
        SELECT b.id FROM (
            SELECT s.id, sum(octet_length(s.data)) OVER (ORDER BY s.id) - octet_length(s.data) AS before
            FROM schedule s WHERE s.queue_id = v_queue AND s.id = ANY (v_ids) AND s.id > p_after
        ) b WHERE b.before < answer_bytes()
    );
    RETURN QUERY
    SELECT
        s.id, s.revision, s.anchor, s.next_at, s.last_run_at, o.last, s.data, s.definition, s.timing,
        s.interval_seconds, s.cron_pattern, s.timezone, s.priority, s.misfire, s.overlap, s.drop_unclaimed,
        s.first_at
    FROM schedule s LEFT JOIN outcome o ON o.queue_id = s.queue_id AND o.schedule = s.id
    WHERE s.queue_id = v_queue AND s.id = ANY (v_ids) ORDER BY s.id;
END $$;
