-- Epochs whose lease has not run out, were a writer to come now: after a gap it moves leases on (G12).
CREATE OR REPLACE FUNCTION living_epochs(p_queue integer, p_now bigint)
RETURNS TABLE (number bigint, worker text, expires_at bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_seen bigint := (SELECT c.at FROM contact c WHERE c.queue_id = p_queue);
    v_now bigint := coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
BEGIN
    RETURN QUERY
    SELECT m.number, m.worker, m.moved FROM (
        SELECT l.number, l.worker, l.expires_at, l.expires_at + CASE
            WHEN (v_now - v_seen) * 2 > l.lease_ms OR v_now - v_seen < -1000 THEN v_now - v_seen ELSE 0
        END AS moved
        FROM lease l WHERE l.queue_id = p_queue
    ) m WHERE m.expires_at > v_seen AND m.moved > v_now ORDER BY m.number;
END $$;
