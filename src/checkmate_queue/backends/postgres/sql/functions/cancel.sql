-- See Repair.cancel. Needs the queue for itself: a job may be on its way to its groups.
CREATE OR REPLACE FUNCTION cancel(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, p_id text,
    OUT o_removed bigint, OUT o_signalled bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_key bigint;
    v_tallies tally[];
BEGIN
    v := enter(p_queue, p_now, true);
    v_key := coalesce(
        living_key(v.o_queue, v.o_now, p_unclaimed_ms, p_id, false),
        living_key(v.o_queue, v.o_now, p_unclaimed_ms, p_id, true)
    );
    WITH gone AS (
        DELETE FROM delivery d USING open_deliveries(ARRAY[v_key], v.o_now, p_unclaimed_ms) o
        WHERE d.key = v_key AND d.group_id = o.group_id AND o.state <> 1
        RETURNING d.group_id, d.state
    )
    SELECT count(*), coalesce(
        array_agg(ROW(g.group_id, state_name(g.state), -1)::tally)
        || array_agg(ROW(g.group_id, 'cancelled', 1)::tally),
        '{}'
    )
    INTO o_removed, v_tallies FROM gone g;
    UPDATE delivery d SET cancelled = true FROM open_deliveries(ARRAY[v_key], v.o_now, p_unclaimed_ms) o
    WHERE d.key = v_key AND d.group_id = o.group_id AND o.state = 1;
    GET DIAGNOSTICS o_signalled = ROW_COUNT;
    PERFORM end_jobs(
        v.o_queue, array_fill(v_key, ARRAY[o_removed::integer]),
        array_fill('cancelled'::text, ARRAY[o_removed::integer])
    );
    IF o_signalled > 0 THEN
        PERFORM wake(v.o_queue);
    END IF;
    PERFORM note_counts(v.o_queue, p_slot, v_tallies);
END $$;
