-- Store what is known of a queue itself.
CREATE OR REPLACE FUNCTION restore_queue(
    p_queue integer, p_slot integer, p_paused boolean, p_kinds text[], p_counts bigint[]
) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    UPDATE queue q SET paused = p_paused WHERE q.id = p_queue;
    PERFORM note_counts(p_queue, p_slot, ARRAY(
        SELECT ROW(0, u.kind, u.n)::tally FROM unnest(p_kinds, p_counts) u(kind, n)
    ));
END $$;
