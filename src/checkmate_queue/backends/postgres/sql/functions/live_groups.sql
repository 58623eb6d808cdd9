-- The groups that a job is fanned out to: durable ones, and ephemeral ones with a live member (G1, G4).
CREATE OR REPLACE FUNCTION live_groups(p_queue integer, p_now bigint) RETURNS integer[]
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT g.id FROM consumer_group g
        WHERE g.queue_id = p_queue AND NOT g.dropped AND (NOT g.ephemeral OR EXISTS (
            SELECT FROM member m JOIN lease l ON l.number = m.epoch
            WHERE m.group_id = g.id AND l.expires_at > p_now
        ))
        ORDER BY g.id
    );
END $$;
