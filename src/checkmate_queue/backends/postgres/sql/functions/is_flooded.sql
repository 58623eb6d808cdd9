-- Whether more is due, or was committed by callers' transactions, than one step may touch.
CREATE OR REPLACE FUNCTION is_flooded(p_queue integer, p_now bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM delivery d WHERE d.queue_id = p_queue AND d.state >= 3 AND d.at <= p_now OFFSET 1000
    ) OR (
        SELECT sum(n.jobs) > 1000 OR sum(n.bytes) > 8388608 FROM (
            SELECT i.jobs, i.bytes FROM inbox i WHERE i.queue_id = p_queue ORDER BY i.key LIMIT 1001
        ) n
    );
END $$;
