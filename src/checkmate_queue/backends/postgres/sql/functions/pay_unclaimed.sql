-- Make a batch of unclaimed jobs ready for these groups, in order (G2); o_last is NULL when that was all.
CREATE OR REPLACE FUNCTION pay_unclaimed(
    p_queue integer, p_now bigint, p_groups integer[], p_upto bigint, OUT o_last bigint, OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_n bigint;
    v_limit integer := step_size(cardinality(p_groups));
BEGIN
    WITH moved AS (
        UPDATE delivery d SET state = 0, at = p_now, group_id = p_groups[1]
        WHERE d.group_id = 0 AND d.key IN (
            SELECT u.key FROM delivery u WHERE u.queue_id = p_queue AND u.state = 2 AND u.place <= p_upto
            ORDER BY u.place LIMIT v_limit
        )
        RETURNING d.key, d.place, d.expires_at, d.priority
    ), spread AS (
        INSERT INTO delivery (key, place, at, expires_at, queue_id, group_id, priority, state)
        SELECT m.key, m.place, p_now, m.expires_at, p_queue, g.id, m.priority, 0
        FROM moved m CROSS JOIN unnest(p_groups[2:]) g(id)
    ), shared AS (
        INSERT INTO share (key, open) SELECT m.key, cardinality(p_groups) FROM moved m
        WHERE cardinality(p_groups) > 1
    )
    SELECT count(*), CASE WHEN count(*) = v_limit THEN max(m.place) END INTO v_n, o_last FROM moved m;
    o_tallies := ROW(0, 'unclaimed', -v_n)::tally
        || ARRAY(SELECT ROW(g.id, 'ready', v_n)::tally FROM unnest(p_groups) g(id));
END $$;
