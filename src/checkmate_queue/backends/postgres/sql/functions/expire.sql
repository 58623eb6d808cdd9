-- End a batch of deliveries that were not claimed in time (J9), and of jobs unclaimed for too long (G2).
CREATE OR REPLACE FUNCTION expire(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint,
    OUT o_more boolean, OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
BEGIN
    WITH overdue AS (
        SELECT d.key, d.group_id FROM delivery d
        WHERE d.queue_id = p_queue AND d.expires_at <= p_now AND NOT (d.state = 4 AND d.at <= p_now)
        ORDER BY d.expires_at, d.key LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), unwanted AS (
        SELECT d.key, d.group_id FROM delivery d
        WHERE d.queue_id = p_queue AND d.state = 2 AND d.at <= p_now - p_unclaimed_ms
        ORDER BY d.place LIMIT 1000 FOR UPDATE SKIP LOCKED
    ), late AS (
        SELECT * FROM overdue UNION SELECT * FROM unwanted
    ), gone AS (
        DELETE FROM delivery d USING late l WHERE d.key = l.key AND d.group_id = l.group_id
        RETURNING d.key, d.group_id, d.state
    ), counted AS (
        SELECT g.group_id, g.state, count(*) AS n FROM gone g GROUP BY g.group_id, g.state
    )
    SELECT
        (SELECT count(*) >= 1000 FROM gone),
        coalesce((SELECT array_agg(g.key) FROM gone g), '{}'),
        coalesce((SELECT array_agg('expired'::text) FROM gone g), '{}'),
        coalesce(
            array_agg(ROW(c.group_id, 'expired', c.n)::tally)
            || array_agg(ROW(c.group_id, state_name(c.state), -c.n)::tally),
            '{}'
        )
    INTO o_more, o_keys, o_outcomes, o_tallies
    FROM counted c;
END $$;
