-- For each durable group how long it was unattended until now (G4), the longest first.
CREATE OR REPLACE FUNCTION unattended(p_queue integer, p_now bigint)
RETURNS TABLE (group_id integer, attended boolean, total bigint, warned_at bigint) LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    WITH attendance AS (
        SELECT g.id, g.ephemeral, g.unattended_ms, g.warned_at, (
            SELECT coalesce(max(l.expires_at), 0) FROM member m JOIN lease l ON l.number = m.epoch
            WHERE m.group_id = g.id
        ) AS until
        FROM consumer_group g WHERE g.queue_id = p_queue AND NOT g.dropped
    ), overall AS (
        SELECT least(p_now, max(a.until)) AS latest, count(*) AS n FROM attendance a
    )
    SELECT
        a.id, a.until > p_now,
        a.unattended_ms + CASE WHEN o.n < 2 THEN 0 ELSE greatest(0, o.latest - greatest(c.attended_at, a.until)) END,
        a.warned_at
    FROM attendance a CROSS JOIN overall o JOIN contact c ON c.queue_id = p_queue
    WHERE NOT a.ephemeral ORDER BY 3 DESC, a.id;
END $$;
