-- How full a queue is: start-delayed and unclaimed jobs, and the ready deliveries of its fullest group (J8).
CREATE OR REPLACE FUNCTION queue_size(p_queue integer) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT coalesce(sum(c.delayed + c.unclaimed), 0) FROM counter c
        WHERE c.queue_id = p_queue AND c.group_id = 0
    ) + (
        SELECT coalesce(max(
            (SELECT coalesce(sum(c.ready), 0) FROM counter c WHERE c.queue_id = p_queue AND c.group_id = g.id)
            + (SELECT coalesce(sum(m.ready), 0) FROM member m WHERE m.group_id = g.id)
        ), 0)
        FROM consumer_group g WHERE g.queue_id = p_queue AND NOT g.dropped
    );
END $$;
