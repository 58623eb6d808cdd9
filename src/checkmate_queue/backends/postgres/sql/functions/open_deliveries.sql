-- The deliveries of jobs that have not ended: not those that have expired, swept or not, nor those of dropped
-- groups. Group and name are NULL for a job that is in no group.
CREATE OR REPLACE FUNCTION open_deliveries(p_keys bigint[], p_now bigint, p_unclaimed_ms bigint)
RETURNS TABLE (key bigint, group_id integer, name text, state smallint, at bigint) LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT d.key, d.group_id, g.name, d.state, d.at
    FROM delivery d LEFT JOIN consumer_group g ON g.id = d.group_id
    WHERE d.key = ANY (p_keys) AND (d.group_id = 0 OR NOT g.dropped)
      AND coalesce(d.expires_at > p_now, true) AND NOT (d.state = 2 AND d.at <= p_now - p_unclaimed_ms);
END $$;
