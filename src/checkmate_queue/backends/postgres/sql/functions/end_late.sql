-- End the deliveries of these users' jobs that have expired unclaimed, swept or not (J9).
CREATE OR REPLACE FUNCTION end_late(
    p_queue integer, p_now bigint, p_ids text[], OUT o_free boolean, OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_keys bigint[];
BEGIN
    o_free := false;
    SELECT array_agg(j.key) INTO v_keys FROM job j
    WHERE j.queue_id = p_queue AND j.id = ANY (p_ids) AND j.schedule IS NULL AND j.expires_at <= p_now;
    IF v_keys IS NULL THEN
        RETURN;
    END IF;
    PERFORM FROM delivery d WHERE d.key = ANY (v_keys) AND NOT d.started ORDER BY d.key, d.group_id FOR UPDATE;
    WITH gone AS (
        DELETE FROM delivery d WHERE d.key = ANY (v_keys) AND NOT d.started
        RETURNING d.key, d.group_id, d.state
    ), counted AS (
        SELECT g.group_id, g.state, count(*) AS n FROM gone g GROUP BY g.group_id, g.state
    )
    SELECT
        coalesce((SELECT array_agg(g.key) FROM gone g), '{}'),
        array_agg(ROW(c.group_id, 'expired', c.n)::tally)
        || array_agg(ROW(c.group_id, state_name(c.state), -c.n)::tally)
    INTO v_keys, o_tallies FROM counted c;
    o_free := cardinality(v_keys) > 0;
    PERFORM end_jobs(p_queue, v_keys, array_fill('expired'::text, ARRAY[cardinality(v_keys)]));
END $$;
