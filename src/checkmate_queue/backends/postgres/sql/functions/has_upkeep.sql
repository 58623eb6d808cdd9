-- Whether a tick has to change who there is: epochs to reap, groups to drop, warn of or purge, debts to pay.
CREATE OR REPLACE FUNCTION has_upkeep(p_queue integer, p_now bigint, p_retention_ms bigint) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM lease l WHERE l.queue_id = p_queue AND l.expires_at <= p_now)
        OR EXISTS (SELECT FROM consumer_group g WHERE g.queue_id = p_queue AND g.dropped)
        OR EXISTS (SELECT FROM owed o WHERE o.queue_id = p_queue)
        OR (SELECT count(*) FROM consumer_group g WHERE g.queue_id = p_queue AND NOT g.ephemeral) > 1 AND EXISTS (
            SELECT FROM unattended(p_queue, p_now) u WHERE NOT u.attended AND (
                u.total >= p_retention_ms
                OR u.total >= 86400000 AND coalesce(u.warned_at <= p_now - 86400000, true)
            )
        );
END $$;
