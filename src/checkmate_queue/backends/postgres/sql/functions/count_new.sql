-- How many of these ids are free: no living job has them that has not expired unclaimed, or is left over
-- of dropped groups.
CREATE OR REPLACE FUNCTION count_new(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint, p_ids text[]
) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT count(DISTINCT u.id) FROM unnest(p_ids) u(id)
        WHERE NOT EXISTS (
            SELECT FROM job j JOIN delivery d ON d.key = j.key
            WHERE j.queue_id = p_queue AND j.id = u.id AND j.schedule IS NULL
              AND coalesce(d.expires_at > p_now, true) AND NOT (d.state = 2 AND d.at <= p_now - p_unclaimed_ms)
              AND NOT EXISTS (SELECT FROM consumer_group g WHERE g.id = d.group_id AND g.dropped)
        )
    );
END $$;
