-- Look whether jobs of these ids may be written into the inbox of a queue; called on a connection of the store's
-- while the caller's transaction holds the inbox, so that no fence comes after it (B3).
--
-- Takes in what was committed before: an inbox holds little more than what is under way. o_full: the jobs would make
-- the queue too full (J8); those of other transactions that are under way can't be counted.
CREATE OR REPLACE FUNCTION open_inbox(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, p_limit bigint, p_ids text[],
    OUT o_queue integer, OUT o_full boolean
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_in record;
    v_new bigint;
BEGIN
    v := enter(p_queue, p_now, false);
    o_queue := v.o_queue;
    o_full := false;
    v_in := take_in(v.o_queue, v.o_now, p_unclaimed_ms);
    PERFORM end_jobs(v.o_queue, v_in.o_keys, v_in.o_outcomes);
    PERFORM note_counts(v.o_queue, p_slot, v_in.o_tallies);
    IF p_limit IS NOT NULL THEN
        v_new := count_new(v.o_queue, v.o_now, p_unclaimed_ms, p_ids);
        o_full := v_new > 0 AND queue_size(v.o_queue) + v_new > p_limit;
    END IF;
END $$;
