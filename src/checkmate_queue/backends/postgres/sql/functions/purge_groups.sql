-- End a batch of the deliveries that dropped groups left behind; true while there is more (G4).
--
-- Called with the queue locked and all counts noted. A group that is empty goes, its counts to group 0.
CREATE OR REPLACE FUNCTION purge_groups(p_queue integer, p_slot integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_group integer;
    v_keys bigint[];
    v_outcomes text[];
    v_tallies tally[];
    v_left integer := 1000;
BEGIN
    FOR v_group IN SELECT g.id FROM consumer_group g WHERE g.queue_id = p_queue AND g.dropped ORDER BY g.id LOOP
        WITH batch AS (
            (SELECT d.key FROM delivery d WHERE d.group_id = v_group AND d.state = 0 LIMIT v_left)
            UNION ALL
            (SELECT d.key FROM delivery d JOIN epoch e ON e.number = d.epoch
             WHERE e.queue_id = p_queue AND d.group_id = v_group AND d.state = 1 LIMIT v_left)
            UNION ALL
            (SELECT d.key FROM delivery d
             WHERE d.queue_id = p_queue AND d.group_id = v_group AND d.state >= 3 LIMIT v_left)
            LIMIT v_left
        ), gone AS (
            DELETE FROM delivery d USING batch s WHERE d.key = s.key AND d.group_id = v_group
            RETURNING d.key, d.state, CASE WHEN d.cancelled THEN 'cancelled' ELSE 'expired' END AS outcome
        ), counted AS (
            SELECT g.state, g.outcome, count(*) AS n FROM gone g GROUP BY g.state, g.outcome
        )
        SELECT
            coalesce((SELECT array_agg(g.key) FROM gone g), '{}'),
            coalesce((SELECT array_agg(g.outcome) FROM gone g), '{}'),
            array_agg(ROW(v_group, state_name(c.state), -c.n)::tally)
            || array_agg(ROW(v_group, c.outcome, c.n)::tally)
        INTO v_keys, v_outcomes, v_tallies FROM counted c;
        PERFORM end_jobs(p_queue, v_keys, v_outcomes);
        PERFORM note_counts(p_queue, p_slot, coalesce(v_tallies, '{}'));
        v_left := v_left - cardinality(v_keys);
        IF v_left <= 0 THEN
            RETURN true;
        END IF;
        PERFORM forget_group(p_queue, v_group, p_slot);
    END LOOP;
    RETURN false;
END $$;
