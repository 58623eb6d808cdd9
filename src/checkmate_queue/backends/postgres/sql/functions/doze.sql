-- Note that somebody found less to do at a queue than it could, and goes to sleep; the last thing of a
-- transaction.
CREATE OR REPLACE FUNCTION doze(p_queue integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    v_at bigint := (SELECT s.at FROM sleeper s WHERE s.queue_id = p_queue);
BEGIN
    IF v_at IS NULL THEN
        INSERT INTO sleeper (queue_id, at) VALUES (p_queue, v_now) ON CONFLICT DO NOTHING;
    ELSIF v_at NOT BETWEEN v_now - 500 AND v_now THEN
        UPDATE sleeper s SET at = v_now
        WHERE s.queue_id = (SELECT l.queue_id FROM sleeper l WHERE l.queue_id = p_queue FOR UPDATE SKIP LOCKED);
    END IF;
END $$;
