-- End the deliveries of a schedule's jobs that were never claimed, as cancelled (R4, R7); called with the
-- queue locked.
CREATE OR REPLACE FUNCTION cancel_waiting(p_queue integer, p_schedule text) RETURNS tally[]
LANGUAGE plpgsql AS $$
DECLARE
    v_keys bigint[];
    v_tallies tally[];
BEGIN
    WITH gone AS (
        DELETE FROM delivery d USING job j
        WHERE j.queue_id = p_queue AND j.schedule = p_schedule AND d.key = j.key AND NOT d.started
        RETURNING d.key, d.group_id, d.state
    ), counted AS (
        SELECT g.group_id, g.state, count(*) AS n FROM gone g GROUP BY g.group_id, g.state
    )
    SELECT
        coalesce((SELECT array_agg(g.key) FROM gone g), '{}'),
        coalesce(
            array_agg(ROW(c.group_id, state_name(c.state), -c.n)::tally)
            || array_agg(ROW(c.group_id, 'cancelled', c.n)::tally),
            '{}'
        )
    INTO v_keys, v_tallies FROM counted c;
    PERFORM end_jobs(p_queue, v_keys, array_fill('cancelled'::text, ARRAY[cardinality(v_keys)]));
    RETURN v_tallies;
END $$;
