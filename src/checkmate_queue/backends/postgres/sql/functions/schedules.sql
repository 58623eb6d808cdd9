-- See Scheduling.schedules: those of p_ids, or where it is NULL the first p_limit above p_after.
CREATE OR REPLACE FUNCTION schedules(p_queue text, p_ids text[], p_after text, p_limit bigint)
RETURNS TABLE (
    id text, revision bigint, anchor bigint, next_at bigint, last_run_at bigint, last_outcome text,
    data bytea, definition text, timing text, interval_seconds double precision, cron_pattern text,
    timezone text, priority integer, misfire text, overlap boolean, drop_unclaimed boolean, first_at bigint
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY
    SELECT
        s.id, s.revision, s.anchor, s.next_at, s.last_run_at, o.last, s.data, s.definition, s.timing,
        s.interval_seconds, s.cron_pattern, s.timezone, s.priority, s.misfire, s.overlap, s.drop_unclaimed,
        s.first_at
    FROM schedule s
    JOIN queue q ON q.id = s.queue_id AND q.name = p_queue
    LEFT JOIN outcome o ON o.queue_id = s.queue_id AND o.schedule = s.id
    WHERE CASE WHEN p_ids IS NULL THEN s.id > p_after ELSE s.id = ANY (p_ids) END
    ORDER BY s.id LIMIT CASE WHEN p_ids IS NULL THEN p_limit END;
END $$;
