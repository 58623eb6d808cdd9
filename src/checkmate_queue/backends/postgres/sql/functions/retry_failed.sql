-- See Repair.retry_failed. o_retried is NULL where a job of the id lives.
CREATE OR REPLACE FUNCTION retry_failed(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, p_id text, p_group text,
    OUT o_retried bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_job failed;
    v_key bigint;
    v_entries bigint[];
    v_groups integer[];
BEGIN
    v := enter(p_queue, p_now, true);
    SELECT * INTO v_job FROM failed f
    WHERE f.queue_id = v.o_queue AND f.id = p_id ORDER BY f.entry DESC LIMIT 1;
    IF living_key(v.o_queue, v.o_now, p_unclaimed_ms, p_id, v_job.schedule IS NOT NULL) IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(f.entry), '{}'), array_agg(g.id ORDER BY g.id) INTO v_entries, v_groups
    FROM failed f JOIN consumer_group g ON g.queue_id = f.queue_id AND g.name = f.group_name AND NOT g.dropped
    WHERE f.queue_id = v.o_queue AND f.id = p_id AND f.key = v_job.key AND (p_group IS NULL OR f.group_name = p_group);
    o_retried := cardinality(v_entries);
    IF o_retried = 0 THEN
        RETURN;
    END IF;
    PERFORM note_counts(v.o_queue, p_slot, end_late(v.o_queue, v.o_now, p_unclaimed_ms, ARRAY(
        SELECT j.key FROM job j
        WHERE j.queue_id = v.o_queue AND j.id = p_id AND j.schedule IS NULL AND v_job.schedule IS NULL
        UNION ALL
        SELECT j.key FROM job j
        WHERE j.queue_id = v.o_queue AND j.id = p_id AND j.schedule IS NOT NULL AND v_job.schedule IS NOT NULL
    )));
    INSERT INTO job (
        key, enqueued_at, queue_id, priority, format, drop_unclaimed, id, data, metadata, token, schedule
    ) VALUES (
        nextval('number'), v_job.enqueued_at, v.o_queue, v_job.priority, v_job.format, v_job.drop_unclaimed, p_id,
        v_job.data, v_job.metadata, '', v_job.schedule
    ) ON CONFLICT DO NOTHING RETURNING job.key INTO v_key;
    IF NOT FOUND THEN
        o_retried := NULL;
        RETURN;
    END IF;
    INSERT INTO delivery (key, place, at, queue_id, group_id, priority, state)
    SELECT v_key, v_key, v.o_now, v.o_queue, g.id, v_job.priority, 0 FROM unnest(v_groups) g(id);
    IF cardinality(v_groups) > 1 THEN
        INSERT INTO share (key, open) VALUES (v_key, cardinality(v_groups));
    END IF;
    DELETE FROM failed f WHERE f.entry = ANY (v_entries);
    PERFORM note_counts(v.o_queue, p_slot, ARRAY[ROW(0, 'kept', -o_retried)::tally] || ARRAY(
        SELECT ROW(g.id, 'ready', 1)::tally FROM unnest(v_groups) g(id)
    ));
END $$;
