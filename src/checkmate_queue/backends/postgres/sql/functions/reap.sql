-- Let epochs die whose lease has run out, and pass their claims to the heir (G7, G9); called with the queue
-- locked. Ephemeral groups without a live member are marked as dropped; returns their names.
CREATE OR REPLACE FUNCTION reap(
    p_queue integer, p_now bigint, p_heir bigint, OUT o_dropped text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_dead bigint;
BEGIN
    o_tallies := '{}';
    FOR v_dead IN
        SELECT l.number FROM lease l WHERE l.queue_id = p_queue AND l.expires_at <= p_now ORDER BY l.number
    LOOP
        o_tallies := o_tallies || end_cancelled(p_queue, v_dead, NULL) || release_members(v_dead, NULL);
        UPDATE delivery d SET
            stalls = d.stalls + CASE WHEN d.lapsed THEN 0 ELSE 1 END,
            lapsed = true, epoch = p_heir, exchange = NULL
        WHERE d.state = 1 AND d.epoch = v_dead;
        DELETE FROM epoch e WHERE e.number = v_dead;
    END LOOP;
    WITH dropped AS (
        UPDATE consumer_group g SET dropped = true
        WHERE g.queue_id = p_queue AND g.ephemeral AND NOT g.dropped AND NOT EXISTS (
            SELECT FROM member m WHERE m.group_id = g.id
        )
        RETURNING g.name
    )
    SELECT coalesce(array_agg(d.name ORDER BY d.name), '{}') INTO o_dropped FROM dropped d;
END $$;
