-- See Repair.set_paused. Waits for the claims under way, so that none comes after it.
CREATE OR REPLACE FUNCTION set_paused(p_queue text, p_now bigint, p_paused boolean) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
BEGIN
    v := enter(p_queue, p_now, true);
    UPDATE queue q SET paused = p_paused WHERE q.id = v.o_queue;
    IF NOT p_paused THEN
        PERFORM wake(v.o_queue);
    END IF;
END $$;
