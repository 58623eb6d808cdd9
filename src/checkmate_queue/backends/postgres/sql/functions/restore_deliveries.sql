-- Store deliveries of jobs that are stored, as parallel arrays: group 0 has what is in no group; see `delivery`.
CREATE OR REPLACE FUNCTION restore_deliveries(
    p_queue integer, p_slot integer, p_keys bigint[], p_groups integer[], p_states integer[], p_places bigint[],
    p_ats bigint[], p_epochs bigint[], p_exchanges bigint[], p_attempts integer[], p_stalls integer[],
    p_started boolean[], p_lapsed boolean[], p_cancelled boolean[]
) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    INSERT INTO share AS s (key, open)
    SELECT n.key, n.open + b.open
    FROM (SELECT u.key, count(*)::integer AS open FROM unnest(p_keys) u(key) GROUP BY u.key) n
    CROSS JOIN LATERAL (SELECT count(*)::integer AS open FROM delivery d WHERE d.key = n.key) b
    WHERE n.open + b.open > 1
    ON CONFLICT (key) DO UPDATE SET open = excluded.open;
    INSERT INTO delivery (
        key, place, at, expires_at, epoch, exchange, queue_id, group_id, priority, attempts, stalls, state, started,
        lapsed, cancelled
    )
    SELECT
        u.key, u.place, u.at, CASE WHEN u.started THEN NULL ELSE j.expires_at END, u.epoch, u.exchange, p_queue,
        u.group_id, j.priority, u.attempts, u.stalls, u.state, u.started, u.lapsed, u.cancelled
    FROM unnest(
        p_keys, p_groups, p_states, p_places, p_ats, p_epochs, p_exchanges, p_attempts, p_stalls, p_started, p_lapsed,
        p_cancelled
    ) u(
        key, group_id, state, place, at, epoch, exchange, attempts, stalls, started, lapsed, cancelled
    )
    CROSS JOIN LATERAL (
        SELECT k.priority, k.expires_at FROM job k WHERE k.queue_id = p_queue AND k.key = u.key
    ) j;
    PERFORM note_counts(p_queue, p_slot, ARRAY(
        SELECT ROW(u.group_id, state_name(u.state::smallint), count(*))::tally
        FROM unnest(p_groups, p_states) u(group_id, state) GROUP BY u.group_id, u.state
    ));
END $$;
