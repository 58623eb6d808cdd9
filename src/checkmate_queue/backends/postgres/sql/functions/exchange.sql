-- See Consumption.exchange. p_done holds the keys settled as done; all other settlements come as parallel
-- arrays (see settle.sql), or p_keys is NULL.
--
-- o_status: ok; lost (the lease); wrong (p_exchange is neither the last one, o_next, nor the next); again (a
-- batch of due jobs was made ready, and there is more to make ready first). Claims come as parallel arrays.
CREATE OR REPLACE FUNCTION exchange(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, p_failed_count bigint, p_failed_ms bigint,
    p_epoch bigint, p_group text, p_exchange bigint, p_want integer, p_done bigint[],
    p_kinds text[], p_keys bigint[], p_delays bigint[], p_attempts boolean[],
    p_types bytea[], p_messages bytea[], p_tracebacks bytea[],
    OUT o_status text, OUT o_now bigint, OUT o_refused bigint[], OUT o_cancelled bigint[],
    OUT o_next bigint, OUT o_paused boolean,
    OUT o_keys bigint[], OUT o_ids text[], OUT o_data bytea[], OUT o_priorities integer[],
    OUT o_enqueued bigint[], OUT o_attempts integer[], OUT o_stalls integer[], OUT o_metadata bytea[],
    OUT o_formats smallint[]
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_me record;
    v_done record;
    v_step record;
    v_claims record;
    v_keys bigint[] := '{}';
    v_outcomes text[] := '{}';
    v_tallies tally[] := '{}';
    v_completed bigint := 0;
    v_cancelled bigint := 0;
    v_claimed bigint := 0;
    v_failed bigint;
BEGIN
    v_me := enter_exchange(p_queue, p_now, p_unclaimed_ms, p_epoch, p_group);
    o_now := v_me.o_now;
    o_paused := v_me.o_paused;
    o_next := v_me.o_next;
    IF v_me.o_group IS NULL THEN
        o_status := 'lost';
        RETURN;
    ELSIF p_exchange < 1 OR p_exchange NOT IN (v_me.o_exchanges, v_me.o_exchanges + 1) THEN
        o_status := 'wrong';
        o_next := v_me.o_exchanges;
        RETURN;
    ELSIF v_me.o_due AND is_flooded(v_me.o_queue, o_now) THEN
        PERFORM promote_batch(v_me.o_queue, o_now, p_slot, p_unclaimed_ms);
        o_status := 'again';
        RETURN;
    END IF;
    o_status := 'ok';
    IF p_exchange = v_me.o_exchanges THEN
        o_refused := v_me.o_refused;
        v_claims := claims(v_me.o_queue, p_epoch, v_me.o_group, p_exchange);
    ELSE
        o_refused := '{}';
        IF cardinality(p_done) > 0 THEN
            v_done := settle_done(p_epoch, v_me.o_group, p_done);
            o_refused := v_done.o_refused;
            v_keys := v_done.o_keys;
            v_outcomes := v_done.o_outcomes;
            v_cancelled := v_done.o_cancelled;
            v_completed := cardinality(v_keys) - v_cancelled;
        END IF;
        IF cardinality(p_keys) > 0 THEN
            v_step := settle(
                v_me.o_queue, o_now, p_epoch, false, array_fill(v_me.o_group, ARRAY[cardinality(p_keys)]),
                p_kinds, p_keys, p_delays, p_attempts, p_types, p_messages, p_tracebacks
            );
            o_refused := o_refused || v_step.o_refused;
            v_keys := v_keys || v_step.o_keys;
            v_outcomes := v_outcomes || v_step.o_outcomes;
            v_tallies := v_step.o_tallies;
            v_failed := cardinality(array_positions(v_step.o_outcomes, 'failed'));
            IF v_failed > 0 THEN
                v_failed := expire_failed(v_me.o_queue, o_now, p_failed_count, p_failed_ms, v_failed);
                v_tallies := v_tallies || ROW(0, 'kept', -v_failed)::tally;
            END IF;
        END IF;
        IF v_me.o_due OR cardinality(p_keys) > 0 THEN
            v_step := promote(v_me.o_queue, o_now, p_unclaimed_ms);
            v_keys := v_keys || v_step.o_keys;
            v_outcomes := v_outcomes || v_step.o_outcomes;
            v_tallies := v_tallies || v_step.o_tallies;
            o_next := next_due(v_me.o_queue);
        END IF;
        IF cardinality(v_keys) > 0 THEN
            PERFORM end_jobs(v_me.o_queue, v_keys, v_outcomes);
        END IF;
        IF p_want > 0 AND NOT o_paused THEN
            v_claims := claim(v_me.o_queue, o_now, p_epoch, v_me.o_group, p_exchange, p_want);
            v_claimed := coalesce(cardinality(v_claims.o_keys), 0);
        END IF;
    END IF;
    IF v_claims IS NOT NULL THEN
        o_keys := v_claims.o_keys;
        o_ids := v_claims.o_ids;
        o_data := v_claims.o_data;
        o_priorities := v_claims.o_priorities;
        o_enqueued := v_claims.o_enqueued;
        o_attempts := v_claims.o_attempts;
        o_stalls := v_claims.o_stalls;
        o_metadata := v_claims.o_metadata;
        o_formats := v_claims.o_formats;
    END IF;
    o_cancelled := note_exchange(
        v_me.o_queue, p_slot, p_epoch, v_me.o_group, p_exchange, o_refused, o_now + v_me.o_lease_ms,
        v_claimed, v_completed, v_cancelled, v_tallies
    );
    IF v_claimed = 0 AND cardinality(v_keys) = 0 AND cardinality(v_tallies) = 0 THEN
        PERFORM set_config('synchronous_commit', 'off', true);  -- nothing but a lease to lose
    END IF;
    IF v_claimed < p_want THEN
        PERFORM doze(v_me.o_queue);
    END IF;
END $$;
