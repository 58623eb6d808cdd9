-- Note that a batch is stored: its number, the numbers that it drew, and how keys have changed in its queue.
CREATE OR REPLACE FUNCTION end_restore(p_n bigint, p_queue integer, p_number bigint, p_runs text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM setval('number', greatest(p_number, n.last_value)) FROM number n;
    INSERT INTO meta (key, value) VALUES ('receiving ' || p_queue, p_runs)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    UPDATE meta m SET value = jsonb_set(m.value::jsonb, '{batches}', to_jsonb(p_n))::text WHERE m.key = 'receiving';
END $$;
