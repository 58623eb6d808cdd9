-- End the jobs whose last delivery has ended; called once a transaction, after all its deliveries ended.
--
-- p_keys, p_outcomes: one entry for each delivery that ended. Jobs that were fanned out are locked in key
-- order, and the count of their open deliveries decides; a job of one delivery has nobody to race with.
CREATE OR REPLACE FUNCTION end_jobs(p_queue integer, p_keys bigint[], p_outcomes text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_open bigint[] := '{}';
    v_keys bigint[];
    v_schedules text[];
BEGIN
    IF cardinality(p_keys) = 0 THEN
        RETURN;
    END IF;
    PERFORM FROM share s WHERE s.key = ANY (p_keys) ORDER BY s.key FOR UPDATE;
    IF FOUND THEN
        WITH ended AS (
            SELECT u.key, count(*)::integer AS times FROM unnest(p_keys) u(key) GROUP BY u.key
        ), counted AS (
            UPDATE share s SET open = s.open - e.times FROM ended e WHERE s.key = e.key RETURNING s.key, s.open
        )
        SELECT coalesce(array_agg(c.key), '{}') INTO v_open FROM counted c WHERE c.open > 0;
        DELETE FROM share s WHERE s.key = ANY (p_keys) AND s.open <= 0;
    END IF;
    WITH gone AS (
        DELETE FROM job j WHERE j.queue_id = p_queue AND j.key = ANY (p_keys) AND j.key <> ALL (v_open)
        RETURNING j.key, j.schedule
    )
    SELECT array_agg(g.key), array_agg(g.schedule) INTO v_keys, v_schedules FROM gone g
    WHERE g.schedule IS NOT NULL;
    IF cardinality(v_open) > 0 THEN
        SELECT array_cat(v_keys, array_agg(j.key)), array_cat(v_schedules, array_agg(j.schedule))
        INTO v_keys, v_schedules FROM job j
        WHERE j.queue_id = p_queue AND j.key = ANY (v_open) AND j.schedule IS NOT NULL;
    END IF;
    IF v_keys IS NOT NULL THEN
        PERFORM FROM outcome o WHERE o.queue_id = p_queue AND o.schedule = ANY (v_schedules)
        ORDER BY o.schedule FOR UPDATE;
        UPDATE outcome o SET last = l.outcome FROM (
            SELECT DISTINCT ON (s.schedule) s.schedule, e.outcome
            FROM unnest(v_keys, v_schedules) s(key, schedule)
            JOIN unnest(p_keys, p_outcomes) WITH ORDINALITY e(key, outcome, ord) ON e.key = s.key
            ORDER BY s.schedule, e.ord DESC
        ) l WHERE o.queue_id = p_queue AND o.schedule = l.schedule;
    END IF;
END $$;
