-- The ready deliveries of a queue, over all groups.
CREATE OR REPLACE FUNCTION pending(p_queue integer) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT coalesce(sum(c.ready), 0) FROM counter c
        JOIN consumer_group g ON g.id = c.group_id AND NOT g.dropped WHERE c.queue_id = p_queue
    ) + (
        SELECT coalesce(sum(m.ready), 0) FROM member m
        JOIN consumer_group g ON g.id = m.group_id AND NOT g.dropped WHERE g.queue_id = p_queue
    );
END $$;
