-- When a tick has something to do next: what is due, what expires, and the leases of others.
CREATE OR REPLACE FUNCTION next_event(p_queue integer, p_epoch bigint, p_unclaimed_ms bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN least(
        next_due(p_queue),
        (SELECT d.expires_at FROM delivery d
         WHERE d.queue_id = p_queue AND d.expires_at IS NOT NULL ORDER BY d.expires_at LIMIT 1),
        (SELECT d.at + p_unclaimed_ms FROM delivery d
         WHERE d.queue_id = p_queue AND d.state = 2 ORDER BY d.place LIMIT 1),
        (SELECT min(l.expires_at) FROM lease l WHERE l.queue_id = p_queue AND l.number <> p_epoch)
    );
END $$;
