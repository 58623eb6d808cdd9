-- See Scheduling.drop_schedule.
CREATE OR REPLACE FUNCTION drop_schedule(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, p_id text, OUT o_known boolean
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
BEGIN
    v := enter(p_queue, p_now, false);
    DELETE FROM schedule s WHERE s.queue_id = v.o_queue AND s.id = p_id;
    o_known := FOUND;
    IF o_known THEN
        PERFORM note_counts(v.o_queue, p_slot, cancel_waiting(v.o_queue, v.o_now, p_unclaimed_ms, p_id));
        -- Last, as where deliveries end.
        DELETE FROM outcome o WHERE o.queue_id = v.o_queue AND o.schedule = p_id;
    END IF;
END $$;
