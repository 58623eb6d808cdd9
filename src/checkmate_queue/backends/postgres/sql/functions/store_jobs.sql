-- Store new jobs with their deliveries, where their ids are free; keys, and so places, follow the order given.
--
-- Rows are inserted in the order of their ids, so that two callers with the same ids never wait for each
-- other. Spans count from p_enqueued, or from now where that is NULL. Jobs that would become more than p_most
-- deliveries are stored as due, for whoever promotes next. Returns for each whether it was stored, and what ended at
-- once for want of a group.
CREATE OR REPLACE FUNCTION store_jobs(
    p_queue integer, p_now bigint, p_groups integer[], p_schedule text,
    p_ids text[], p_data bytea[], p_metadata bytea[], p_priorities integer[], p_delays bigint[],
    p_expiries bigint[], p_drops boolean[], p_tokens text[], p_enqueued bigint[], p_most bigint,
    OUT o_created boolean[], OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_nobody boolean := cardinality(p_groups) = 0;
    v_deferred boolean := coalesce(cardinality(p_ids) * cardinality(p_groups) > p_most, false);
    v_delayed bigint;
    v_ready bigint;
    v_homeless bigint[];
BEGIN
    WITH new AS MATERIALIZED (
        SELECT nextval('number') AS key, v_deferred OR u.enqueued + u.delay > p_now AS waits, u.* FROM (
            SELECT
                t.id, t.data, t.metadata, t.priority, t.delay, t.drops, t.token, t.ord,
                coalesce(t.enqueued, p_now) AS enqueued, coalesce(t.enqueued, p_now) + t.expiry AS expires_at
            FROM unnest(
                p_ids, p_data, p_metadata, p_priorities, p_delays, p_expiries, p_drops, p_tokens, p_enqueued
            ) WITH ORDINALITY t(id, data, metadata, priority, delay, expiry, drops, token, enqueued, ord)
            ORDER BY t.ord
        ) u
    ), stored AS (
        INSERT INTO job (
            key, enqueued_at, expires_at, queue_id, priority, drop_unclaimed, id, data, metadata, token, schedule
        )
        SELECT
            n.key, n.enqueued, n.expires_at, p_queue, n.priority, n.drops, n.id, n.data, n.metadata, n.token,
            p_schedule
        FROM new n ORDER BY n.id, n.ord
        ON CONFLICT DO NOTHING RETURNING key
    ), placed AS (
        INSERT INTO delivery (key, place, at, expires_at, queue_id, group_id, priority, state)
        SELECT
            n.key, n.key, greatest(n.enqueued + n.delay, p_now), n.expires_at, p_queue, g.id, n.priority,
            CASE WHEN n.waits THEN 4 WHEN v_nobody THEN 2 ELSE 0 END
        FROM new n JOIN stored s ON s.key = n.key
        CROSS JOIN LATERAL unnest(CASE WHEN n.waits OR v_nobody THEN '{0}' ELSE p_groups END) g(id)
    ), shared AS (
        INSERT INTO share (key, open)
        SELECT n.key, cardinality(p_groups) FROM new n JOIN stored s ON s.key = n.key
        WHERE NOT n.waits AND cardinality(p_groups) > 1
    )
    SELECT
        array_agg(s.key IS NOT NULL ORDER BY n.ord),
        count(s.key) FILTER (WHERE n.waits),
        count(s.key) FILTER (WHERE NOT n.waits),
        array_agg(s.key) FILTER (WHERE v_nobody AND NOT n.waits AND s.key IS NOT NULL)
    INTO o_created, v_delayed, v_ready, v_homeless
    FROM new n LEFT JOIN stored s ON s.key = n.key;
    SELECT d.o_keys, d.o_outcomes, d.o_tallies INTO o_keys, o_outcomes, o_tallies
    FROM drop_unclaimed(p_queue, coalesce(v_homeless, '{}')) d;
    IF v_delayed > 0 THEN
        o_tallies := o_tallies || ROW(0, 'delayed', v_delayed)::tally;
    END IF;
    IF v_ready > 0 AND v_nobody THEN
        o_tallies := o_tallies || ROW(0, 'unclaimed', v_ready)::tally;
    ELSIF v_ready > 0 THEN
        o_tallies := o_tallies || ARRAY(SELECT ROW(g.id, 'ready', v_ready)::tally FROM unnest(p_groups) g(id));
    END IF;
END $$;
