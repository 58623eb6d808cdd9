-- See Repair.drop_group. o_status: ok; more (deliveries are left: call purge); unknown; attended; again (a batch
-- was promoted, and there is more to promote first).
CREATE OR REPLACE FUNCTION drop_group(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, p_name text, OUT o_status text
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_step record;
    v_group integer;
BEGIN
    v := enter(p_queue, p_now, true);
    v_step := promote(v.o_queue, v.o_now, p_unclaimed_ms);
    PERFORM end_jobs(v.o_queue, v_step.o_keys, v_step.o_outcomes);
    PERFORM note_counts(v.o_queue, p_slot, v_step.o_tallies);
    IF v_step.o_more THEN
        o_status := 'again';
        RETURN;
    END IF;
    SELECT g.id INTO v_group FROM consumer_group g
    WHERE g.queue_id = v.o_queue AND g.name = p_name AND NOT g.dropped;
    IF NOT FOUND THEN
        o_status := 'unknown';
    ELSIF is_attended(v_group, v.o_now) THEN
        o_status := 'attended';
    ELSE
        PERFORM account_attendance(v.o_queue, v.o_now);
        PERFORM note_counts(v.o_queue, p_slot, mark_dropped(ARRAY[v_group]));
        o_status := CASE WHEN purge_groups(v.o_queue, p_slot) THEN 'more' ELSE 'ok' END;
    END IF;
END $$;
