-- Take in a batch of what callers' transactions have committed, and be done; o_more: there is more.
CREATE OR REPLACE FUNCTION collect(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, OUT o_more boolean
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_in record;
BEGIN
    v := enter(p_queue, p_now, false);
    v_in := take_in(v.o_queue, v.o_now, p_unclaimed_ms);
    PERFORM end_jobs(v.o_queue, v_in.o_keys, v_in.o_outcomes);
    PERFORM note_counts(v.o_queue, p_slot, v_in.o_tallies);
    o_more := v_in.o_more;
END $$;
