-- Deliver a batch of what joins still owe their groups; called with the queue locked.
CREATE OR REPLACE FUNCTION pay_owed(p_queue integer, p_now bigint) RETURNS tally[] LANGUAGE plpgsql AS $$
DECLARE
    v_owed record;
    v_groups integer[];
    v_last bigint;
    v_tallies tally[];
    v_paid tally[] := '{}';
BEGIN
    FOR v_owed IN SELECT * FROM owed o WHERE o.queue_id = p_queue ORDER BY o.id LOOP
        v_groups := ARRAY(
            SELECT g.id FROM consumer_group g WHERE g.id = ANY (v_owed.group_ids) AND NOT g.dropped ORDER BY g.id
        );
        IF cardinality(v_groups) = 0 THEN
            DELETE FROM owed o WHERE o.id = v_owed.id;
            CONTINUE;
        END IF;
        IF v_owed.unclaimed THEN
            SELECT p.o_last, p.o_tallies INTO v_last, v_tallies
            FROM pay_unclaimed(p_queue, p_now, v_groups, v_owed.upto) p;
        ELSE
            SELECT p.o_last, p.o_tallies INTO v_last, v_tallies
            FROM pay_earliest(p_queue, p_now, v_groups, v_owed.after, v_owed.upto) p;
        END IF;
        v_paid := v_paid || v_tallies;
        IF v_last IS NOT NULL THEN
            UPDATE owed o SET after = v_last WHERE o.id = v_owed.id;
            EXIT;
        END IF;
        DELETE FROM owed o WHERE o.id = v_owed.id;
    END LOOP;
    RETURN v_paid;
END $$;
