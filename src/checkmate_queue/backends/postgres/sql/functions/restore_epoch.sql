-- Store an epoch with its memberships. Until the store accepts, its lease only tells whether it lives.
CREATE OR REPLACE FUNCTION restore_epoch(
    p_queue integer, p_worker text, p_lease_ms bigint, p_alive boolean, p_report bytea, p_groups text[],
    p_exchanges bigint[]
) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_epoch bigint;
BEGIN
    INSERT INTO epoch AS e (queue_id, worker, lease_ms, expires_at, report)
    VALUES (p_queue, p_worker, p_lease_ms, p_alive::integer, p_report) RETURNING e.number INTO v_epoch;
    INSERT INTO member (epoch, group_id, exchanges, expires_at)
    SELECT v_epoch, g.id, u.exchanges, 0
    FROM unnest(p_groups, p_exchanges) u(name, exchanges)
    JOIN consumer_group g ON g.queue_id = p_queue AND g.name = u.name AND NOT g.dropped;
END $$;
