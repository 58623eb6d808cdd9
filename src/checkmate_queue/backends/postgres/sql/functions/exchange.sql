-- See Consumption.exchange. p_done holds the keys settled as done; all other settlements come as parallel
-- arrays (see settle.sql).
--
-- o_status: ok; lost (the lease); wrong (p_exchange is neither the last one nor the next); again (a batch
-- of due jobs was made ready, and there is more to make ready first). Claims come as parallel arrays.
CREATE OR REPLACE FUNCTION exchange(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint,
    p_epoch bigint, p_group text, p_exchange bigint, p_want integer, p_done bigint[],
    p_kinds text[], p_keys bigint[], p_delays bigint[], p_attempts boolean[],
    p_types bytea[], p_messages bytea[], p_tracebacks bytea[],
    OUT o_status text, OUT o_now bigint, OUT o_refused bigint[], OUT o_cancelled bigint[],
    OUT o_next bigint, OUT o_paused boolean,
    OUT o_keys bigint[], OUT o_ids text[], OUT o_data bytea[], OUT o_priorities integer[],
    OUT o_enqueued bigint[], OUT o_attempts integer[], OUT o_stalls integer[], OUT o_metadata bytea[],
    OUT o_formats smallint[]
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    v_queue integer;
    v_me record;
    v_lease bigint;
    v_ended bigint[] := '{}';
    v_outcomes text[] := '{}';
    v_tallies tally[] := '{}';
    v_settled record;
    v_n bigint := 0;
BEGIN
    SELECT e.o_queue, e.o_now, e.o_paused INTO v_queue, o_now, o_paused FROM enter(p_queue, p_now, false) e;
    IF EXISTS (
        SELECT FROM delivery d WHERE d.queue_id = v_queue AND d.state >= 3 AND d.at <= o_now OFFSET 1000
    ) THEN
        PERFORM promote_batch(v_queue, o_now, p_slot, p_unclaimed_ms);
        o_status := 'again';
        RETURN;
    END IF;
    SELECT m.group_id, m.exchanges, m.refused, m.expires_at, e.lease_ms INTO v_me
    FROM consumer_group g
    JOIN member m ON m.group_id = g.id AND m.epoch = p_epoch
    JOIN epoch e ON e.number = m.epoch
    WHERE g.queue_id = v_queue AND g.name = p_group AND NOT g.dropped FOR UPDATE OF m;
    IF FOUND AND v_me.expires_at <= o_now THEN
        SELECT l.expires_at INTO v_lease FROM lease l WHERE l.number = p_epoch;
    END IF;
    IF v_me IS NULL OR coalesce(v_lease, v_me.expires_at) <= o_now THEN
        PERFORM note_contact(v_queue, o_now);
        o_status := 'lost';
        RETURN;
    END IF;
    IF p_exchange < 1 OR p_exchange NOT IN (v_me.exchanges, v_me.exchanges + 1) THEN
        o_status := 'wrong';
        o_next := v_me.exchanges;
        RETURN;
    END IF;
    o_status := 'ok';
    o_refused := v_me.refused;
    IF p_exchange > v_me.exchanges THEN
        o_refused := '{}';
        IF cardinality(p_done) > 0 THEN
            SELECT s.o_refused, s.o_keys, s.o_outcomes, s.o_tallies
            INTO o_refused, v_ended, v_outcomes, v_tallies
            FROM settle_done(p_epoch, v_me.group_id, p_done) s;
        END IF;
        IF cardinality(p_keys) > 0 THEN
            SELECT s.* INTO v_settled FROM settle(
                v_queue, o_now, p_epoch, false, array_fill(v_me.group_id, ARRAY[cardinality(p_keys)]),
                p_kinds, p_keys, p_delays, p_attempts, p_types, p_messages, p_tracebacks
            ) s;
            o_refused := o_refused || v_settled.o_refused;
            v_ended := v_ended || v_settled.o_keys;
            v_outcomes := v_outcomes || v_settled.o_outcomes;
            v_tallies := v_tallies || v_settled.o_tallies;
        END IF;
        SELECT p.* INTO v_settled FROM promote(v_queue, o_now, p_unclaimed_ms, false) p;
        PERFORM end_jobs(v_queue, v_ended || v_settled.o_keys, v_outcomes || v_settled.o_outcomes);
        v_tallies := v_tallies || v_settled.o_tallies;
        IF p_want > 0 AND NOT o_paused THEN
            v_n := claim(o_now, p_epoch, v_me.group_id, p_exchange, p_want);
        END IF;
        IF v_n > 0 THEN
            v_tallies := v_tallies
                || ROW(v_me.group_id, 'ready', -v_n)::tally || ROW(v_me.group_id, 'processing', v_n)::tally;
        ELSIF cardinality(v_tallies) = 0 THEN
            PERFORM set_config('synchronous_commit', 'off', true);  -- nothing but a lease to lose
        END IF;
    END IF;
    PERFORM note_exchange(p_epoch, v_me.group_id, p_exchange, o_refused, o_now + v_me.lease_ms, v_tallies);
    PERFORM note_counts(
        v_queue, p_slot, ARRAY(SELECT t FROM unnest(v_tallies) t WHERE t.group_id <> v_me.group_id OR t.kind = 'kept')
    );
    IF v_n > 0 OR p_exchange = v_me.exchanges THEN
        SELECT
            c.o_keys, c.o_ids, c.o_data, c.o_priorities, c.o_enqueued, c.o_attempts, c.o_stalls, c.o_metadata,
            c.o_formats
        INTO
            o_keys, o_ids, o_data, o_priorities, o_enqueued, o_attempts, o_stalls, o_metadata, o_formats
        FROM claims(v_queue, p_epoch, v_me.group_id, p_exchange) c;
    END IF;
    o_cancelled := ARRAY(
        SELECT d.key FROM delivery d
        WHERE d.epoch = p_epoch AND d.group_id = v_me.group_id AND d.cancelled AND NOT d.lapsed ORDER BY d.key
    );
    o_next := next_due(v_queue);
END $$;
