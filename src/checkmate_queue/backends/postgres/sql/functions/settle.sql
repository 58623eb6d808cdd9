-- Settle claims (or, with p_lapsed, lapsed claims) of an epoch, one by one in the order given.
--
-- p_kinds: done, retry, fail, back or cancel. Parallel arrays; where a kind has no use for a field it is
-- NULL. Returns the keys that found no claim, what ended, and the tallies.
CREATE OR REPLACE FUNCTION settle(
    p_queue integer, p_now bigint, p_epoch bigint, p_lapsed boolean,
    p_groups integer[], p_kinds text[], p_keys bigint[], p_delays bigint[], p_attempts boolean[],
    p_types bytea[], p_messages bytea[], p_tracebacks bytea[],
    OUT o_refused bigint[], OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v record;
    v_cancelled boolean;
    v_outcome text;
BEGIN
    o_refused := '{}';
    o_keys := '{}';
    o_outcomes := '{}';
    o_tallies := '{}';
    FOR v IN
        SELECT * FROM unnest(
            p_groups, p_kinds, p_keys, p_delays, p_attempts, p_types, p_messages, p_tracebacks
        ) WITH ORDINALITY u(group_id, kind, key, delay, attempt, type, message, traceback, ord) ORDER BY u.ord
    LOOP
        SELECT d.cancelled INTO v_cancelled FROM delivery d
        WHERE d.key = v.key AND d.group_id = v.group_id
          AND d.state = 1 AND d.epoch = p_epoch AND d.lapsed = p_lapsed FOR UPDATE;
        IF NOT FOUND THEN
            o_refused := o_refused || v.key;
            CONTINUE;
        END IF;
        o_tallies := o_tallies || ROW(v.group_id, 'processing', -1)::tally;
        v_outcome := CASE
            WHEN v_cancelled OR v.kind = 'cancel' THEN 'cancelled'
            WHEN v.kind = 'done' THEN 'completed'
            WHEN v.kind = 'fail' THEN 'failed'
        END;
        IF v_outcome IS NOT NULL THEN
            IF v_outcome = 'failed' THEN
                PERFORM keep_failed(
                    p_queue, p_now, v.group_id, v.key, v.attempt, v.type, v.message, v.traceback
                );
                o_tallies := o_tallies || ROW(0, 'kept', 1)::tally;
            END IF;
            DELETE FROM delivery d WHERE d.key = v.key AND d.group_id = v.group_id;
            o_keys := o_keys || v.key;
            o_outcomes := o_outcomes || v_outcome;
            o_tallies := o_tallies || ROW(v.group_id, v_outcome, 1)::tally;
        ELSIF v.kind = 'retry' THEN
            UPDATE delivery d SET
                state = 3, at = p_now + v.delay, attempts = d.attempts + 1,
                epoch = NULL, exchange = NULL, lapsed = false
            WHERE d.key = v.key AND d.group_id = v.group_id;
            o_tallies := o_tallies || ROW(v.group_id, 'delayed', 1)::tally;
        ELSE
            UPDATE delivery d SET
                state = 0, place = d.place - (1::bigint << 52), epoch = NULL, exchange = NULL, lapsed = false
            WHERE d.key = v.key AND d.group_id = v.group_id;
            o_tallies := o_tallies || ROW(v.group_id, 'ready', 1)::tally;
        END IF;
    END LOOP;
END $$;
