-- Begin an exchange: what `enter` does, and all that an exchange needs to know, in few statements.
--
-- Locks the row of the member. o_group is NULL where the lease is lost. o_due: something of the queue is
-- due, has expired, or was committed by a caller's transaction; o_next: when something is due next.
CREATE OR REPLACE FUNCTION enter_exchange(
    p_queue text, p_now bigint, p_unclaimed_ms bigint, p_epoch bigint, p_name text,
    OUT o_queue integer, OUT o_now bigint, OUT o_paused boolean, OUT o_group integer,
    OUT o_exchanges bigint, OUT o_refused bigint[], OUT o_lease_ms bigint, OUT o_due boolean, OUT o_next bigint
) LANGUAGE plpgsql AS $$
DECLARE
    v_entered record;
    v record;
BEGIN
    PERFORM demand_isolation();
    SELECT q.id, c.at, pg_advisory_xact_lock_shared('queue'::regclass::oid::integer, q.id) INTO v
    FROM queue q JOIN contact c ON c.queue_id = q.id WHERE q.name = p_queue;
    o_queue := v.id;
    o_now := coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
    IF o_queue IS NULL OR o_now - v.at >= 100 OR o_now - v.at < -1000 THEN
        v_entered := enter(p_queue, p_now, false);
        o_now := v_entered.o_now;
    ELSE
        o_now := greatest(o_now, v.at);
    END IF;
    SELECT
        q.fence, q.paused, m.group_id, m.exchanges, m.refused, e.lease_ms,
        m.expires_at > o_now OR EXISTS (
            SELECT FROM lease l WHERE l.number = p_epoch AND l.expires_at > o_now
        ) AS lives,
        (SELECT d.at FROM delivery d WHERE d.queue_id = o_queue AND d.state >= 3 ORDER BY d.at LIMIT 1) AS waiting,
        (SELECT d.expires_at FROM delivery d
         WHERE d.queue_id = o_queue AND d.expires_at IS NOT NULL ORDER BY d.expires_at LIMIT 1) AS expiring,
        (SELECT d.at FROM delivery d WHERE d.queue_id = o_queue AND d.state = 2 ORDER BY d.place LIMIT 1) AS unclaimed,
        EXISTS (SELECT FROM inbox i WHERE i.queue_id = o_queue) AS committed,
        (SELECT s.next_at FROM schedule s
         WHERE s.queue_id = o_queue AND s.next_at IS NOT NULL ORDER BY s.next_at LIMIT 1) AS firing
    INTO v
    FROM queue q
    JOIN consumer_group g ON g.queue_id = q.id AND g.name = p_name AND NOT g.dropped
    JOIN member m ON m.group_id = g.id AND m.epoch = p_epoch
    JOIN epoch e ON e.number = m.epoch
    WHERE q.id = o_queue FOR UPDATE OF m;
    IF NOT FOUND OR v.fence IS NOT NULL OR NOT v.lives THEN
        v_entered := enter(p_queue, p_now, false);
        PERFORM note_contact(o_queue, o_now);
        RETURN;
    END IF;
    o_paused := v.paused;
    o_group := v.group_id;
    o_exchanges := v.exchanges;
    o_refused := v.refused;
    o_lease_ms := v.lease_ms;
    o_due := v.committed OR coalesce(v.waiting <= o_now, false) OR coalesce(v.expiring <= o_now, false)
        OR coalesce(v.unclaimed <= o_now - p_unclaimed_ms, false);
    o_next := least(v.waiting, v.firing);
END $$;
