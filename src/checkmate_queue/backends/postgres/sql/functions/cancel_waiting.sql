-- End the deliveries of a schedule's jobs that were never claimed (R4, R7): as cancelled, or as expired what had
-- expired before. Called with the schedule locked, so that it makes no more; a claim under way is waited for.
CREATE OR REPLACE FUNCTION cancel_waiting(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint, p_schedule text
) RETURNS tally[] LANGUAGE plpgsql AS $$
DECLARE
    v_keys bigint[];
    v_outcomes text[];
    v_tallies tally[];
BEGIN
    WITH gone AS (
        DELETE FROM delivery d USING job j
        WHERE j.queue_id = p_queue AND j.schedule = p_schedule AND d.key = j.key AND NOT d.started
        RETURNING d.key, d.group_id, d.state, CASE
            WHEN d.expires_at <= p_now OR d.state = 2 AND d.at <= p_now - p_unclaimed_ms THEN 'expired'
            ELSE 'cancelled'
        END AS outcome
    ), counted AS (
        SELECT g.group_id, g.state, g.outcome, count(*) AS n FROM gone g GROUP BY g.group_id, g.state, g.outcome
    )
    SELECT
        coalesce((SELECT array_agg(g.key) FROM gone g), '{}'),
        coalesce((SELECT array_agg(g.outcome) FROM gone g), '{}'),
        coalesce(
            array_agg(ROW(c.group_id, state_name(c.state), -c.n)::tally)
            || array_agg(ROW(c.group_id, c.outcome, c.n)::tally),
            '{}'
        )
    INTO v_keys, v_outcomes, v_tallies FROM counted c;
    PERFORM end_jobs(p_queue, v_keys, v_outcomes);
    RETURN v_tallies;
END $$;
