-- End the deliveries of these jobs that have expired unclaimed, swept or not (J9, G2), and those of groups that were
-- dropped, purged or not (G4). A job that was due, and that nobody promoted, expires in every group that would have
-- had it.
CREATE OR REPLACE FUNCTION end_late(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint, p_keys bigint[]
) RETURNS tally[] LANGUAGE plpgsql AS $$
DECLARE
    v_keys bigint[];
    v_tallies tally[];
    v_delayed bigint;
    v_groups integer[];
    v_outcomes text[];
    v_dropped integer[] := ARRAY(SELECT g.id FROM consumer_group g WHERE g.queue_id = p_queue AND g.dropped);
BEGIN
    PERFORM FROM delivery d
    WHERE d.key = ANY (p_keys) AND (
        d.expires_at <= p_now OR d.state = 2 AND d.at <= p_now - p_unclaimed_ms OR d.group_id = ANY (v_dropped)
    )
    ORDER BY d.key, d.group_id FOR UPDATE;
    WITH gone AS (
        DELETE FROM delivery d
        WHERE d.key = ANY (p_keys) AND (
            d.expires_at <= p_now OR d.state = 2 AND d.at <= p_now - p_unclaimed_ms OR d.group_id = ANY (v_dropped)
        )
        RETURNING d.key, d.group_id, d.state, CASE WHEN d.cancelled THEN 'cancelled' ELSE 'expired' END AS outcome
    ), counted AS (
        SELECT g.group_id, g.state, g.outcome, count(*) AS n FROM gone g GROUP BY g.group_id, g.state, g.outcome
    )
    SELECT
        coalesce((SELECT array_agg(g.key) FROM gone g), '{}'),
        coalesce((SELECT array_agg(g.outcome) FROM gone g), '{}'),
        coalesce(array_agg(ROW(c.group_id, c.outcome, c.n)::tally) FILTER (WHERE c.state <> 4), '{}')
            || coalesce(array_agg(ROW(c.group_id, state_name(c.state), -c.n)::tally), '{}'),
        coalesce(sum(c.n) FILTER (WHERE c.state = 4), 0)
    INTO v_keys, v_outcomes, v_tallies, v_delayed FROM counted c;
    IF v_delayed > 0 THEN
        v_groups := live_groups(p_queue, p_now);
        v_tallies := v_tallies || ARRAY(
            SELECT ROW(g.id, 'expired', v_delayed)::tally
            FROM unnest(CASE WHEN cardinality(v_groups) = 0 THEN '{0}' ELSE v_groups END) g(id)
        );
    END IF;
    PERFORM end_jobs(p_queue, v_keys, v_outcomes);
    RETURN v_tallies;
END $$;
