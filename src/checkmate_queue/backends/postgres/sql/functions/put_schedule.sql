-- See Scheduling.put_schedule. Raises 40001, to be repeated, where the schedule was dropped in between.
CREATE OR REPLACE FUNCTION put_schedule(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, p_id text, p_data bytea, p_definition text, p_timing text,
    p_first_at bigint, p_interval double precision, p_cron text, p_timezone text, p_priority integer,
    p_misfire text, p_overlap boolean, p_drop boolean
) RETURNS SETOF plan LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_old record;
BEGIN
    v := enter(p_queue, p_now, false);
    INSERT INTO schedule (
        queue_id, id, revision, anchor, next_at, data, definition, timing, interval_seconds, cron_pattern,
        timezone, priority, misfire, overlap, drop_unclaimed, first_at
    ) VALUES (
        v.o_queue, p_id, nextval('number'), p_first_at, p_first_at, p_data, p_definition, p_timing, p_interval,
        p_cron, p_timezone, p_priority, p_misfire, p_overlap, p_drop, p_first_at
    ) ON CONFLICT (queue_id, id) DO NOTHING;
    IF FOUND THEN
        INSERT INTO outcome (queue_id, schedule) VALUES (v.o_queue, p_id)
        ON CONFLICT (queue_id, schedule) DO UPDATE SET last = NULL;
        PERFORM wake(v.o_queue);
        RETURN QUERY SELECT * FROM schedules(p_queue, ARRAY[p_id], '', 1);
        RETURN;
    END IF;
    SELECT s.definition, s.timing INTO v_old FROM schedule s WHERE s.queue_id = v.o_queue AND s.id = p_id;
    IF v_old.definition = p_definition THEN
        RETURN QUERY SELECT * FROM schedules(p_queue, ARRAY[p_id], '', 1);
        RETURN;
    END IF;
    SELECT s.definition, s.timing INTO v_old FROM schedule s
    WHERE s.queue_id = v.o_queue AND s.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the schedule was dropped meanwhile' USING ERRCODE = '40001';
    END IF;
    IF v_old.definition = p_definition THEN
        RETURN QUERY SELECT * FROM schedules(p_queue, ARRAY[p_id], '', 1);
        RETURN;
    END IF;
    UPDATE schedule s SET
        revision = nextval('number'), data = p_data, definition = p_definition, timing = p_timing,
        anchor = CASE WHEN v_old.timing = p_timing THEN s.anchor ELSE p_first_at END,
        next_at = CASE WHEN v_old.timing = p_timing THEN s.next_at ELSE p_first_at END,
        interval_seconds = p_interval, cron_pattern = p_cron, timezone = p_timezone, priority = p_priority,
        misfire = p_misfire, overlap = p_overlap, drop_unclaimed = p_drop, first_at = p_first_at
    WHERE s.queue_id = v.o_queue AND s.id = p_id;
    PERFORM wake(v.o_queue);
    PERFORM note_counts(v.o_queue, p_slot, cancel_waiting(v.o_queue, v.o_now, p_unclaimed_ms, p_id));
    RETURN QUERY SELECT * FROM schedules(p_queue, ARRAY[p_id], '', 1);
END $$;
