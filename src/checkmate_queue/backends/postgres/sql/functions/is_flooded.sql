-- Whether more is due, or was committed by callers' transactions, than one step may touch: in jobs, in bytes, or in
-- the deliveries that they become.
CREATE OR REPLACE FUNCTION is_flooded(p_queue integer, p_now bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_groups integer := (
        SELECT greatest(1, count(*)) FROM consumer_group g WHERE g.queue_id = p_queue AND NOT g.dropped
    );
BEGIN
    RETURN (
        SELECT count(*) > 1000 OR sum(CASE d.group_id WHEN 0 THEN v_groups ELSE 1 END) > most_deliveries() FROM (
            SELECT w.group_id FROM delivery w WHERE w.queue_id = p_queue AND w.state >= 3 AND w.at <= p_now
            ORDER BY w.at, w.key LIMIT 1001
        ) d
    ) OR (
        SELECT sum(n.jobs) > step_size(v_groups) OR sum(n.bytes) > 8388608 FROM (
            SELECT i.jobs, i.bytes FROM inbox i WHERE i.queue_id = p_queue ORDER BY i.key LIMIT 1001
        ) n
    );
END $$;
