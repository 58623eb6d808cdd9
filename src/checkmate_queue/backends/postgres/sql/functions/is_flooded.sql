-- Whether more is due than one step may touch.
CREATE OR REPLACE FUNCTION is_flooded(p_queue integer, p_now bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM delivery d WHERE d.queue_id = p_queue AND d.state >= 3 AND d.at <= p_now OFFSET 1000
    );
END $$;
