-- Make a batch of due jobs and retries ready, in the order of their due times (G1, J5).
--
-- A batch is at most a thousand, and about five thousand deliveries. Returns what ended instead, and the tallies;
-- o_more says that the batch was full.
CREATE OR REPLACE FUNCTION ready_due(
    p_queue integer, p_now bigint,
    OUT o_readied bigint, OUT o_more boolean, OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_groups integer[] := live_groups(p_queue, p_now);
    v_first integer := coalesce(v_groups[1], 0);
    v_size integer := greatest(1, cardinality(v_groups));
    v_found bigint;
    v_keys bigint[];
    v_owners integer[];
    v_places bigint[];
    v_delayed bigint;
    v_retried bigint;
    v_homeless bigint[];
BEGIN
    SELECT
        array_agg(n.key), array_agg(n.group_id), array_agg(n.place), coalesce(max(n.found), 0)
    INTO v_keys, v_owners, v_places, v_found FROM (
        SELECT w.key, w.group_id, w.found, nextval('number') AS place FROM (
            SELECT
                o.key, o.group_id, count(*) OVER () AS found,
                sum(CASE o.group_id WHEN 0 THEN v_size ELSE 1 END)
                    OVER (ORDER BY o.at, o.key, o.group_id ROWS UNBOUNDED PRECEDING) AS deliveries
            FROM (
                SELECT d.key, d.group_id, d.at FROM delivery d
                WHERE d.queue_id = p_queue AND d.state >= 3 AND d.at <= p_now
                ORDER BY d.at, d.key LIMIT 1000 FOR UPDATE SKIP LOCKED
            ) o
            ORDER BY o.at, o.key, o.group_id
        ) w WHERE w.deliveries <= greatest(most_deliveries(), v_size)
    ) n;
    WITH moved AS (
        UPDATE delivery d SET
            place = n.place,
            at = p_now,
            group_id = CASE n.group_id WHEN 0 THEN v_first ELSE n.group_id END,
            state = CASE WHEN n.group_id = 0 AND v_first = 0 THEN 2 ELSE 0 END
        FROM unnest(v_keys, v_owners, v_places) n(key, group_id, place)
        WHERE d.key = n.key AND d.group_id = n.group_id
        RETURNING d.key, d.place, d.expires_at, d.priority, n.group_id AS was
    ), spread AS (
        INSERT INTO delivery (key, place, at, expires_at, queue_id, group_id, priority, state)
        SELECT m.key, m.place, p_now, m.expires_at, p_queue, g.id, m.priority, 0
        FROM moved m CROSS JOIN unnest(v_groups[2:]) g(id) WHERE m.was = 0
    ), shared AS (
        INSERT INTO share (key, open) SELECT m.key, cardinality(v_groups) FROM moved m
        WHERE m.was = 0 AND cardinality(v_groups) > 1
    ), counted AS (
        SELECT m.was, count(*) AS n FROM moved m GROUP BY m.was
    )
    SELECT
        coalesce(sum(c.n) FILTER (WHERE c.was = 0), 0),
        coalesce(sum(c.n) FILTER (WHERE c.was > 0), 0),
        coalesce(array_agg(ROW(c.was, 'ready', c.n)::tally) FILTER (WHERE c.was > 0), '{}')
            || coalesce(array_agg(ROW(c.was, 'delayed', -c.n)::tally), '{}'),
        (SELECT array_agg(m.key) FROM moved m WHERE m.was = 0 AND v_first = 0)
    INTO v_delayed, v_retried, o_tallies, v_homeless
    FROM counted c;
    o_readied := v_retried + v_delayed * cardinality(v_groups);
    o_more := v_found >= 1000 OR v_delayed + v_retried < v_found;
    o_tallies := o_tallies || ARRAY(SELECT ROW(g.id, 'ready', v_delayed)::tally FROM unnest(v_groups) g(id));
    SELECT d.o_keys, d.o_outcomes, ready_due.o_tallies || d.o_tallies || ROW(0, 'unclaimed', coalesce(cardinality(v_homeless), 0))::tally
    INTO o_keys, o_outcomes, o_tallies
    FROM drop_unclaimed(p_queue, coalesce(v_homeless, '{}')) d;
END $$;
