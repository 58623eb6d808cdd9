-- Deliver one more batch of what a join owes; true while there is more.
CREATE OR REPLACE FUNCTION pay(p_queue text, p_now bigint, p_slot integer, OUT o_more boolean)
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
BEGIN
    v := enter(p_queue, p_now, true);
    PERFORM note_counts(v.o_queue, p_slot, pay_owed(v.o_queue, v.o_now));
    o_more := EXISTS (SELECT FROM owed o WHERE o.queue_id = v.o_queue);
END $$;
