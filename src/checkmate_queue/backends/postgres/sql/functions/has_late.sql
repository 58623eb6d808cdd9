-- Whether something of a queue has expired and nobody has ended it yet (J9, G2).
CREATE OR REPLACE FUNCTION has_late(p_queue integer, p_now bigint, p_unclaimed_ms bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM delivery d WHERE d.queue_id = p_queue AND d.expires_at <= p_now) OR EXISTS (
        SELECT FROM (
            SELECT d.at FROM delivery d WHERE d.queue_id = p_queue AND d.state = 2 ORDER BY d.place LIMIT 1
        ) u WHERE u.at <= p_now - p_unclaimed_ms
    );
END $$;
