-- When a delayed job, a retry or a schedule is due next.
CREATE OR REPLACE FUNCTION next_due(p_queue integer) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN least(
        (SELECT d.at FROM delivery d WHERE d.queue_id = p_queue AND d.state >= 3 ORDER BY d.at LIMIT 1),
        (SELECT s.next_at FROM schedule s
         WHERE s.queue_id = p_queue AND s.next_at IS NOT NULL ORDER BY s.next_at LIMIT 1)
    );
END $$;
