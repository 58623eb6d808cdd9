-- See Consumption.heartbeat. o_status: ok or lost; o_groups and o_keys name the cancelled claims.
CREATE OR REPLACE FUNCTION heartbeat(
    p_queue text, p_now bigint, p_epoch bigint, p_report bytea,
    OUT o_status text, OUT o_groups text[], OUT o_keys bigint[]
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
BEGIN
    v := enter(p_queue, p_now, false);
    UPDATE epoch e SET expires_at = v.o_now + e.lease_ms, report = p_report
    FROM lease l
    WHERE e.number = p_epoch AND e.queue_id = v.o_queue AND l.number = e.number AND l.expires_at > v.o_now;
    o_status := CASE WHEN FOUND THEN 'ok' ELSE 'lost' END;
    IF o_status = 'lost' THEN
        PERFORM note_contact(v.o_queue, v.o_now);
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);  -- nothing but a lease to lose
    SELECT array_agg(g.name ORDER BY g.name, d.key), array_agg(d.key ORDER BY g.name, d.key)
    INTO o_groups, o_keys
    FROM delivery d JOIN consumer_group g ON g.id = d.group_id
    WHERE d.epoch = p_epoch AND d.cancelled AND NOT d.lapsed;
END $$;
