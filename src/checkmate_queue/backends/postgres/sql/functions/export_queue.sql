-- What an export needs to know of a queue. o_first, o_last: the lowest and the highest key in it; o_number: the
-- highest number that was drawn for anything.
CREATE OR REPLACE FUNCTION export_queue(
    p_queue text, OUT o_queue integer, OUT o_paused boolean, OUT o_first bigint, OUT o_last bigint,
    OUT o_number bigint
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    SELECT q.id, q.paused INTO o_queue, o_paused FROM queue q WHERE q.name = p_queue;
    SELECT min(k.key), max(k.key) INTO o_first, o_last FROM (
        (SELECT j.key FROM job j WHERE j.queue_id = o_queue ORDER BY j.key LIMIT 1)
        UNION ALL
        (SELECT j.key FROM job j WHERE j.queue_id = o_queue ORDER BY j.key DESC LIMIT 1)
        UNION ALL
        SELECT f.key FROM failed f WHERE f.queue_id = o_queue
    ) k;
    SELECT n.last_value INTO o_number FROM number n;
END $$;
