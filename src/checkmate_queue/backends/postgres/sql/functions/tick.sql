-- See Consumption.tick. Settlements come as parallel arrays (see settle.sql), p_groups by name.
--
-- o_status: ok or lost. Lapsed claims come as parallel arrays, o_due as ids of schedules. What changes who
-- there is needs the queue for itself; whether there is any of it is looked up before the lock.
CREATE OR REPLACE FUNCTION tick(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, p_failed_count bigint,
    p_failed_ms bigint, p_group_ms bigint, p_epoch bigint,
    p_groups text[], p_kinds text[], p_keys bigint[], p_delays bigint[], p_attempts boolean[],
    p_types bytea[], p_messages bytea[], p_tracebacks bytea[],
    OUT o_status text, OUT o_now bigint, OUT o_next bigint, OUT o_readied bigint, OUT o_pending bigint,
    OUT o_more boolean, OUT o_due text[], OUT o_dropped text[], OUT o_abandoned text[], OUT o_drop_at bigint[],
    OUT o_groups text[], OUT o_max_stalls integer[], OUT o_keys bigint[], OUT o_ids text[], OUT o_data bytea[],
    OUT o_priorities integer[], OUT o_enqueued bigint[], OUT o_claim_attempts integer[], OUT o_stalls integer[],
    OUT o_metadata bytea[], OUT o_formats smallint[]
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_queue integer;
    v_upkeep boolean;
    v_ended record;
    v_step record;
    v_tallies tally[];
    v_failed bigint;
BEGIN
    SELECT q.id INTO v_queue FROM queue q WHERE q.name = p_queue;
    v_upkeep := has_upkeep(v_queue, coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000)::bigint), p_group_ms);
    SELECT e.o_queue, e.o_now INTO v_queue, o_now FROM enter(p_queue, p_now, v_upkeep) e;
    IF NOT EXISTS (
        SELECT FROM lease l WHERE l.number = p_epoch AND l.queue_id = v_queue AND l.expires_at > o_now
    ) THEN
        PERFORM note_contact(v_queue, o_now);
        o_status := 'lost';
        RETURN;
    END IF;
    o_status := 'ok';
    v_ended := settle(
        v_queue, o_now, p_epoch, true,
        ARRAY(
            SELECT g.id FROM unnest(p_groups) WITH ORDINALITY u(name, ord)
            LEFT JOIN consumer_group g ON g.queue_id = v_queue AND g.name = u.name AND NOT g.dropped ORDER BY u.ord
        ),
        p_kinds, p_keys, p_delays, p_attempts, p_types, p_messages, p_tracebacks
    );
    v_step := promote(v_queue, o_now, p_unclaimed_ms);
    o_readied := v_step.o_readied + (
        SELECT coalesce(sum(t.n), 0) FROM unnest(v_ended.o_tallies) t WHERE t.kind = 'ready'
    );
    o_more := v_step.o_more;
    PERFORM end_jobs(v_queue, v_ended.o_keys || v_step.o_keys, v_ended.o_outcomes || v_step.o_outcomes);
    v_tallies := v_ended.o_tallies || v_step.o_tallies;
    v_failed := expire_failed(v_queue, o_now, p_failed_count, p_failed_ms, (
        SELECT count(*) FROM unnest(v_ended.o_outcomes) u(outcome) WHERE u.outcome = 'failed'
    ));
    IF v_failed > 0 THEN
        v_tallies := v_tallies || ROW(0, 'kept', -v_failed)::tally;
        o_more := o_more OR v_failed >= 1000;
    END IF;
    o_dropped := '{}';
    o_abandoned := '{}';
    o_drop_at := '{}';
    IF v_upkeep THEN
        PERFORM note_counts(v_queue, p_slot, v_tallies);
        v_tallies := '{}';
        SELECT u.o_dropped, u.o_abandoned, u.o_drop_at, u.o_more OR tick.o_more
        INTO o_dropped, o_abandoned, o_drop_at, o_more
        FROM upkeep(v_queue, o_now, p_slot, p_epoch, p_group_ms) u;
    END IF;
    IF NOT v_upkeep AND cardinality(v_tallies) = 0 THEN
        PERFORM set_config('synchronous_commit', 'off', true);  -- nothing but a contact to lose
    END IF;
    PERFORM note_counts(v_queue, p_slot, v_tallies);
    SELECT
        c.o_groups, c.o_max_stalls, c.o_keys, c.o_ids, c.o_data, c.o_priorities, c.o_enqueued, c.o_attempts,
        c.o_stalls, c.o_metadata, c.o_formats, tick.o_more OR c.o_more
    INTO
        o_groups, o_max_stalls, o_keys, o_ids, o_data, o_priorities, o_enqueued, o_claim_attempts,
        o_stalls, o_metadata, o_formats, o_more
    FROM lapsed_claims(v_queue, p_epoch) c;
    o_due := ARRAY(
        SELECT s.id FROM schedule s WHERE s.queue_id = v_queue AND s.next_at <= o_now
        ORDER BY s.next_at, s.id LIMIT 1000
    );
    o_more := o_more OR cardinality(o_due) >= 1000;
    o_pending := pending(v_queue);
    o_next := next_event(v_queue, p_epoch, p_unclaimed_ms);
    PERFORM doze(v_queue);
END $$;
