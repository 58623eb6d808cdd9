-- See Repair.discard_failed.
CREATE OR REPLACE FUNCTION discard_failed(
    p_queue text, p_now bigint, p_slot integer, p_id text, p_group text, OUT o_discarded bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_entries bigint[];
BEGIN
    v := enter(p_queue, p_now, false);
    IF p_id IS NULL THEN
        v_entries := ARRAY(
            SELECT f.entry FROM failed f
            WHERE f.queue_id = v.o_queue AND (p_group IS NULL OR f.group_name = p_group)
            ORDER BY f.entry FOR UPDATE
        );
    ELSE
        v_entries := ARRAY(
            SELECT f.entry FROM failed f
            WHERE f.queue_id = v.o_queue AND f.id = p_id AND (p_group IS NULL OR f.group_name = p_group)
            ORDER BY f.entry FOR UPDATE
        );
    END IF;
    DELETE FROM failed f WHERE f.entry = ANY (v_entries);
    GET DIAGNOSTICS o_discarded = ROW_COUNT;
    PERFORM note_counts(v.o_queue, p_slot, ARRAY[ROW(0, 'kept', -o_discarded)::tally]);
END $$;
