-- Give these groups deliveries of a batch of jobs that some group has not finished, in key order (G3);
-- o_last is the last key that was looked at, NULL when that was all.
CREATE OR REPLACE FUNCTION pay_earliest(
    p_queue integer, p_now bigint, p_groups integer[], p_after bigint, p_upto bigint,
    OUT o_last bigint, OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_limit integer := step_size(cardinality(p_groups));
BEGIN
    WITH batch AS (
        SELECT j.key, j.priority, j.expires_at FROM job j
        WHERE j.queue_id = p_queue AND j.key > p_after AND j.key <= p_upto ORDER BY j.key LIMIT v_limit
    ), open AS (
        SELECT b.key, b.priority, b.expires_at, d.n FROM batch b
        CROSS JOIN LATERAL (
            SELECT count(*)::integer AS n FROM delivery d WHERE d.key = b.key AND d.group_id > 0
        ) d
        WHERE d.n > 0 AND (b.expires_at IS NULL OR b.expires_at > p_now)
    ), given AS (
        INSERT INTO delivery (key, place, at, expires_at, queue_id, group_id, priority, state)
        SELECT o.key, o.key, p_now, o.expires_at, p_queue, g.id, o.priority, 0
        FROM open o CROSS JOIN unnest(p_groups) g(id)
        ON CONFLICT DO NOTHING RETURNING key, group_id
    ), shared AS (
        INSERT INTO share AS s (key, open)
        SELECT o.key, o.n + g.n FROM open o
        JOIN (SELECT given.key, count(*)::integer AS n FROM given GROUP BY given.key) g ON g.key = o.key
        ON CONFLICT (key) DO UPDATE SET open = excluded.open
    )
    SELECT
        (SELECT CASE WHEN count(*) = v_limit THEN max(b.key) END FROM batch b),
        ARRAY(SELECT ROW(g.group_id, 'ready', count(*))::tally FROM given g GROUP BY g.group_id)
    INTO o_last, o_tallies;
END $$;
