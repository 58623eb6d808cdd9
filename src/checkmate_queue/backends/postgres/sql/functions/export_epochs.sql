-- The epochs of a queue by number, with the groups that each is in; whether they live, as of the last contact.
CREATE OR REPLACE FUNCTION export_epochs(p_queue integer)
RETURNS TABLE (
    number bigint, worker text, lease_ms bigint, alive boolean, report bytea, groups text[], exchanges bigint[]
) LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT
        l.number, l.worker, l.lease_ms, l.expires_at > c.at, e.report,
        ARRAY(
            SELECT g.name FROM member m JOIN consumer_group g ON g.id = m.group_id
            WHERE m.epoch = l.number ORDER BY g.id
        ),
        ARRAY(
            SELECT m.exchanges FROM member m JOIN consumer_group g ON g.id = m.group_id
            WHERE m.epoch = l.number ORDER BY g.id
        )
    FROM lease l JOIN epoch e ON e.number = l.number JOIN contact c ON c.queue_id = l.queue_id
    WHERE l.queue_id = p_queue ORDER BY l.number;
END $$;
