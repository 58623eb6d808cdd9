-- End a batch of deliveries that were not claimed in time (J9), and of jobs unclaimed for too long (G2).
CREATE OR REPLACE FUNCTION expire(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint,
    OUT o_more boolean, OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_keys bigint[];
    v_groups integer[];
    v_unclaimed bigint[];
BEGIN
    SELECT array_agg(l.key), array_agg(l.group_id) INTO v_keys, v_groups FROM (
        SELECT d.key, d.group_id FROM delivery d
        WHERE d.queue_id = p_queue AND d.expires_at <= p_now AND NOT (d.state = 4 AND d.at <= p_now)
        ORDER BY d.expires_at, d.key LIMIT 1000 FOR UPDATE SKIP LOCKED
    ) l;
    v_unclaimed := ARRAY(
        SELECT d.key FROM delivery d
        WHERE d.queue_id = p_queue AND d.state = 2 AND d.at <= p_now - p_unclaimed_ms
        ORDER BY d.place LIMIT 1000 FOR UPDATE SKIP LOCKED
    );
    WITH late AS (
        SELECT u.key, u.group_id FROM unnest(v_keys, v_groups) u(key, group_id)
        UNION SELECT u.key, 0 FROM unnest(v_unclaimed) u(key)
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
