-- Make a batch of what is due ready, and be done; o_more: there is more.
CREATE OR REPLACE FUNCTION catch_up(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, OUT o_more boolean
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
BEGIN
    v := enter(p_queue, p_now, false);
    o_more := promote_batch(v.o_queue, v.o_now, p_slot, p_unclaimed_ms);
END $$;
