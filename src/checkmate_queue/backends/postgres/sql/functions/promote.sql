-- Take in what transactions have committed, make ready what is due, and end what has expired; returns what ended,
-- and the tallies.
--
-- One transaction at a time promotes a queue, so that places follow due times. Others wait until it has
-- committed, since nothing may start before what is due (J5), and then look whether anything is left to do.
CREATE OR REPLACE FUNCTION promote(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint,
    OUT o_readied bigint, OUT o_more boolean, OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_due boolean;
    v_late boolean;
    v_step record;
BEGIN
    SELECT t.* INTO o_readied, o_more, o_keys, o_outcomes, o_tallies FROM take_in(p_queue, p_now, p_unclaimed_ms) t;
    LOOP
        SELECT
            EXISTS (SELECT FROM delivery d WHERE d.queue_id = p_queue AND d.state >= 3 AND d.at <= p_now),
            has_late(p_queue, p_now, p_unclaimed_ms)
        INTO v_due, v_late;
        IF NOT (v_due OR v_late) THEN
            RETURN;
        END IF;
        EXIT WHEN pg_try_advisory_xact_lock('delivery'::regclass::oid::integer, p_queue);
        PERFORM await_promotion(p_queue);
    END LOOP;
    IF v_due THEN
        v_step := ready_due(p_queue, p_now);
        o_readied := o_readied + v_step.o_readied;
        o_more := o_more OR v_step.o_more;
        o_keys := o_keys || v_step.o_keys;
        o_outcomes := o_outcomes || v_step.o_outcomes;
        o_tallies := o_tallies || v_step.o_tallies;
    END IF;
    v_step := expire(p_queue, p_now, p_unclaimed_ms);
    o_more := o_more OR v_step.o_more;
    o_keys := o_keys || v_step.o_keys;
    o_outcomes := o_outcomes || v_step.o_outcomes;
    o_tallies := o_tallies || v_step.o_tallies;
END $$;
