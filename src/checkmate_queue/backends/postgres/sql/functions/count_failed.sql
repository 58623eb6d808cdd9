-- Count failed entries that were stored.
CREATE OR REPLACE FUNCTION count_failed(p_queue integer, p_slot integer, p_n bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM note_counts(p_queue, p_slot, ARRAY[ROW(0, 'kept', p_n)::tally]);
END $$;
