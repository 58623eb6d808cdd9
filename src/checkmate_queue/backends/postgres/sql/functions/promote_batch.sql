-- Promote one batch and be done; for verbs that find more due than one step may touch. True while there is more.
CREATE OR REPLACE FUNCTION promote_batch(
    p_queue integer, p_now bigint, p_slot integer, p_unclaimed_ms bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v record;
BEGIN
    v := promote(p_queue, p_now, p_unclaimed_ms);
    PERFORM end_jobs(p_queue, v.o_keys, v.o_outcomes);
    PERFORM note_counts(p_queue, p_slot, v.o_tallies);
    RETURN v.o_more;
END $$;
