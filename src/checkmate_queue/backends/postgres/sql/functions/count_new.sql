-- How many of these ids are free: no living job has them that has not expired unclaimed.
CREATE OR REPLACE FUNCTION count_new(p_queue integer, p_now bigint, p_ids text[]) RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT count(DISTINCT u.id) FROM unnest(p_ids) u(id)
        WHERE NOT EXISTS (
            SELECT FROM job j
            WHERE j.queue_id = p_queue AND j.id = u.id AND j.schedule IS NULL AND (
                j.expires_at IS NULL OR j.expires_at > p_now
                OR EXISTS (SELECT FROM delivery d WHERE d.key = j.key AND d.started)
            )
        )
    );
END $$;
