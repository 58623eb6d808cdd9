-- Whether a queue has so many groups that a thousand jobs are more deliveries than one step may make.
CREATE OR REPLACE FUNCTION is_crowded(p_queue integer) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN step_size((
        SELECT count(*)::integer FROM consumer_group g WHERE g.queue_id = p_queue AND NOT g.dropped
    )) < 1000;
END $$;
