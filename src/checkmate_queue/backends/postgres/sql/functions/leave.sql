-- See Consumption.leave. o_status: ok; more (a dropped group has deliveries left: call purge); again (a
-- batch was promoted, and there is more to promote first).
CREATE OR REPLACE FUNCTION leave(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint,
    p_epoch bigint, p_names text[], p_unregister boolean, OUT o_status text
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_step record;
    v_group record;
    v_tallies tally[];
BEGIN
    v := enter(p_queue, p_now, true);
    v_step := promote(v.o_queue, v.o_now, p_unclaimed_ms);
    PERFORM end_jobs(v.o_queue, v_step.o_keys, v_step.o_outcomes);
    o_status := 'ok';
    v_tallies := v_step.o_tallies;
    IF v_step.o_more THEN
        o_status := 'again';
    ELSIF EXISTS (
        SELECT FROM lease l WHERE l.number = p_epoch AND l.queue_id = v.o_queue AND l.expires_at > v.o_now
    ) THEN
        PERFORM account_attendance(v.o_queue, v.o_now);
        UPDATE epoch e SET expires_at = l.expires_at FROM lease l WHERE e.number = p_epoch AND l.number = p_epoch;
        FOR v_group IN
            SELECT g.id, g.ephemeral FROM consumer_group g
            WHERE g.queue_id = v.o_queue AND g.name = ANY (p_names) AND NOT g.dropped AND EXISTS (
                SELECT FROM member m WHERE m.epoch = p_epoch AND m.group_id = g.id
            )
        LOOP
            v_tallies := v_tallies || give_back(v.o_queue, p_epoch, v_group.id) || release_members(p_epoch, v_group.id);
            IF (v_group.ephemeral OR p_unregister) AND NOT is_attended(v_group.id, v.o_now) THEN
                v_tallies := v_tallies || mark_dropped(ARRAY[v_group.id]);
            END IF;
        END LOOP;
        PERFORM end_epoch(p_epoch, v.o_now);
    END IF;
    PERFORM note_counts(v.o_queue, p_slot, v_tallies);
    IF o_status = 'ok' AND purge_groups(v.o_queue, p_slot) THEN
        o_status := 'more';
    END IF;
END $$;
