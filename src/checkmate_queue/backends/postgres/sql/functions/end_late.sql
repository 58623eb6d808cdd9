-- End the deliveries of these jobs that have expired unclaimed, swept or not (J9, G2). A job that was due, and
-- that nobody promoted, expires in every group that would have had it.
CREATE OR REPLACE FUNCTION end_late(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint, p_keys bigint[]
) RETURNS tally[] LANGUAGE plpgsql AS $$
DECLARE
    v_keys bigint[];
    v_tallies tally[];
    v_delayed bigint;
    v_groups integer[];
BEGIN
    PERFORM FROM delivery d
    WHERE d.key = ANY (p_keys) AND (d.expires_at <= p_now OR d.state = 2 AND d.at <= p_now - p_unclaimed_ms)
    ORDER BY d.key, d.group_id FOR UPDATE;
    WITH gone AS (
        DELETE FROM delivery d
        WHERE d.key = ANY (p_keys) AND (d.expires_at <= p_now OR d.state = 2 AND d.at <= p_now - p_unclaimed_ms)
        RETURNING d.key, d.group_id, d.state
    ), counted AS (
        SELECT g.group_id, g.state, count(*) AS n FROM gone g GROUP BY g.group_id, g.state
    )
    SELECT
        coalesce((SELECT array_agg(g.key) FROM gone g), '{}'),
        coalesce(array_agg(ROW(c.group_id, 'expired', c.n)::tally) FILTER (WHERE c.state <> 4), '{}')
            || coalesce(array_agg(ROW(c.group_id, state_name(c.state), -c.n)::tally), '{}'),
        coalesce(sum(c.n) FILTER (WHERE c.state = 4), 0)
    INTO v_keys, v_tallies, v_delayed FROM counted c;
    IF v_delayed > 0 THEN
        v_groups := live_groups(p_queue, p_now);
        v_tallies := v_tallies || ARRAY(
            SELECT ROW(g.id, 'expired', v_delayed)::tally
            FROM unnest(CASE WHEN cardinality(v_groups) = 0 THEN '{0}' ELSE v_groups END) g(id)
        );
    END IF;
    PERFORM end_jobs(p_queue, v_keys, array_fill('expired'::text, ARRAY[cardinality(v_keys)]));
    RETURN v_tallies;
END $$;
