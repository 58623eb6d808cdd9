-- End one more batch of what dropped groups left behind; true while there is more.
CREATE OR REPLACE FUNCTION purge(p_queue text, p_now bigint, p_slot integer, OUT o_more boolean)
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
BEGIN
    v := enter(p_queue, p_now, true);
    o_more := purge_groups(v.o_queue, p_slot);
END $$;
