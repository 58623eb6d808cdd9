-- Take in a batch of what callers' transactions have committed: the jobs get their places, duplicates are dropped,
-- and the groups that are registered now get them (J5, J7, G1). Returns what ended at once, and the tallies.
--
-- Keys are drawn before commits, so that one may appear below others that were taken in long ago: all that can be
-- seen is taken, whatever its key. One transaction at a time takes in, as it promotes; others wait until it has
-- committed, at most for what they saw themselves. o_more: some of that is left.
CREATE OR REPLACE FUNCTION take_in(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint,
    OUT o_readied bigint, OUT o_more boolean, OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_upto bigint;
    v_jobs record;
BEGIN
    o_readied := 0;
    o_more := false;
    o_keys := '{}';
    o_outcomes := '{}';
    o_tallies := '{}';
    SELECT i.key INTO v_upto FROM inbox i WHERE i.queue_id = p_queue ORDER BY i.key DESC LIMIT 1;
    IF v_upto IS NULL THEN
        RETURN;
    END IF;
    WHILE NOT pg_try_advisory_xact_lock('delivery'::regclass::oid::integer, p_queue) LOOP
        PERFORM await_promotion(p_queue);
        IF NOT EXISTS (SELECT FROM inbox i WHERE i.queue_id = p_queue AND i.key <= v_upto) THEN
            RETURN;
        END IF;
    END LOOP;
    WITH batch AS (
        SELECT b.key FROM (
            SELECT i.key, sum(i.jobs) OVER w - i.jobs AS jobs, sum(i.bytes) OVER w - i.bytes AS bytes
            FROM (
                SELECT n.key, n.jobs, n.bytes FROM inbox n WHERE n.queue_id = p_queue ORDER BY n.key LIMIT 1000
            ) i WINDOW w AS (ORDER BY i.key)
        ) b WHERE b.jobs < 1000 AND b.bytes < 8388608
    ), taken AS (
        DELETE FROM inbox i USING batch b WHERE i.queue_id = p_queue AND i.key = b.key RETURNING i.*
    )
    SELECT
        array_agg(j.unit) AS units, array_agg(j.id) AS ids, array_agg(j.data) AS data,
        array_agg(j.metadata) AS metadata, array_agg(j.priority) AS priorities, array_agg(j.delay) AS delays,
        array_agg(j.expiry) AS expiries, array_agg(j.drops) AS drops, array_agg(j.token) AS tokens,
        array_agg(j.enqueued) AS enqueued
    INTO v_jobs FROM (
        SELECT dense_rank() OVER (ORDER BY t.key)::integer AS unit, least(t.at, p_now) AS enqueued, u.*
        FROM taken t CROSS JOIN LATERAL unnest(
            t.ids, t.data, t.metadata, t.priorities, t.delays, t.expiries, t.drops, t.tokens
        ) WITH ORDINALITY u(id, data, metadata, priority, delay, expiry, drops, token, ord)
        ORDER BY t.key, u.ord
    ) j;
    SELECT a.o_keys, a.o_outcomes, a.o_tallies INTO o_keys, o_outcomes, o_tallies FROM add_units(
        p_queue, p_now, p_unclaimed_ms, NULL, v_jobs.units, v_jobs.ids, v_jobs.data, v_jobs.metadata,
        v_jobs.priorities, v_jobs.delays, v_jobs.expiries, v_jobs.drops, v_jobs.tokens, v_jobs.enqueued
    ) a;
    o_readied := coalesce((SELECT sum(t.n) FROM unnest(o_tallies) t WHERE t.kind = 'ready'), 0);
    o_more := EXISTS (SELECT FROM inbox i WHERE i.queue_id = p_queue AND i.key <= v_upto);
END $$;
