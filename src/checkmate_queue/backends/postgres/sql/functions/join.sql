-- See Consumption.join. Parallel arrays, one entry a group.
--
-- o_status: ok; more (deliveries that the groups get from the past are still owed: call pay); again (a batch
-- was promoted, and there is more to promote first).
CREATE OR REPLACE FUNCTION "join"(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, p_worker text, p_lease_ms bigint,
    p_names text[], p_ephemeral boolean[], p_earliest boolean[], p_max_stalls integer[],
    OUT o_status text, OUT o_epoch bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_step record;
    v_durable integer[];
    v_late integer[];
BEGIN
    v := enter(p_queue, p_now, true);
    v_step := promote(v.o_queue, v.o_now, p_unclaimed_ms);
    PERFORM end_jobs(v.o_queue, v_step.o_keys, v_step.o_outcomes);
    IF v_step.o_more THEN
        PERFORM note_counts(v.o_queue, p_slot, v_step.o_tallies);
        o_status := 'again';
        RETURN;
    END IF;
    PERFORM account_attendance(v.o_queue, v.o_now);
    SELECT l.number INTO o_epoch FROM lease l
    WHERE l.queue_id = v.o_queue AND l.worker = p_worker AND l.expires_at > v.o_now;
    IF o_epoch IS NULL THEN
        INSERT INTO epoch AS e (queue_id, worker, lease_ms, expires_at)
        VALUES (v.o_queue, p_worker, p_lease_ms, v.o_now + p_lease_ms) RETURNING e.number INTO o_epoch;
    ELSE
        UPDATE epoch e SET lease_ms = p_lease_ms, expires_at = v.o_now + p_lease_ms WHERE e.number = o_epoch;
    END IF;
    SELECT g.o_durable, g.o_late INTO v_durable, v_late FROM enter_groups(
        v.o_queue, v.o_now, o_epoch, v.o_now + p_lease_ms, p_names, p_ephemeral, p_earliest, p_max_stalls
    ) g;
    IF cardinality(v_durable) > 0 AND EXISTS (SELECT FROM delivery d WHERE d.queue_id = v.o_queue AND d.state = 2)
    THEN
        INSERT INTO owed (queue_id, unclaimed, group_ids, after, upto)
        VALUES (v.o_queue, true, v_durable, 0, nextval('number'));
    END IF;
    IF cardinality(v_late) > 0 THEN
        INSERT INTO owed (queue_id, unclaimed, group_ids, after, upto)
        VALUES (v.o_queue, false, v_late, 0, nextval('number'));
    END IF;
    o_status := 'ok';
    IF EXISTS (SELECT FROM owed o WHERE o.queue_id = v.o_queue) THEN
        v_step.o_tallies := v_step.o_tallies || pay_owed(v.o_queue, v.o_now);
        o_status := CASE WHEN EXISTS (SELECT FROM owed o WHERE o.queue_id = v.o_queue) THEN 'more' ELSE 'ok' END;
    END IF;
    PERFORM note_counts(v.o_queue, p_slot, v_step.o_tallies);
END $$;
