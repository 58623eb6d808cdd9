-- See Moving.held. o_status: ok or lost; the claims come as parallel arrays.
CREATE OR REPLACE FUNCTION held(
    p_queue text, p_now bigint, p_epoch bigint,
    OUT o_status text, OUT o_groups text[], OUT o_keys bigint[], OUT o_ids text[], OUT o_exchanges bigint[],
    OUT o_cancelled boolean[]
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
BEGIN
    v := enter(p_queue, p_now, false);
    UPDATE epoch e SET expires_at = v.o_now + e.lease_ms
    FROM lease l
    WHERE e.number = p_epoch AND e.queue_id = v.o_queue AND l.number = e.number AND l.expires_at > v.o_now;
    o_status := CASE WHEN FOUND THEN 'ok' ELSE 'lost' END;
    IF o_status = 'lost' THEN
        PERFORM note_contact(v.o_queue, v.o_now);
        RETURN;
    END IF;
    SELECT
        array_agg(c.name), array_agg(c.key), array_agg(c.id), array_agg(c.exchange), array_agg(c.cancelled)
    INTO o_groups, o_keys, o_ids, o_exchanges, o_cancelled
    FROM (
        SELECT g.name, d.key, j.id, d.exchange, d.cancelled
        FROM delivery d
        JOIN consumer_group g ON g.id = d.group_id
        JOIN job j ON j.queue_id = v.o_queue AND j.key = d.key
        WHERE d.state = 1 AND d.epoch = p_epoch AND NOT d.lapsed ORDER BY d.place
    ) c;
END $$;
