-- End a batch of the deliveries that dropped groups left behind; true while there is more (G4).
--
-- Called with the queue locked and all counts noted. Groups that are empty go, their counts to group 0.
CREATE OR REPLACE FUNCTION purge_groups(p_queue integer, p_slot integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_groups integer[] := ARRAY(SELECT g.id FROM consumer_group g WHERE g.queue_id = p_queue AND g.dropped ORDER BY g.id);
    v_keys bigint[];
    v_outcomes text[];
    v_tallies tally[];
BEGIN
    IF cardinality(v_groups) = 0 THEN
        RETURN false;
    END IF;
    WITH batch AS (
        (SELECT d.key, g.id FROM unnest(v_groups) g(id) CROSS JOIN LATERAL (
            SELECT r.key FROM delivery r WHERE r.group_id = g.id AND r.state = 0 LIMIT 1000
        ) d LIMIT 1000)
        UNION ALL
        (SELECT d.key, d.group_id FROM delivery d JOIN epoch e ON e.number = d.epoch
         WHERE e.queue_id = p_queue AND d.group_id = ANY (v_groups) AND d.state = 1 LIMIT 1000)
        UNION ALL
        (SELECT d.key, d.group_id FROM delivery d
         WHERE d.queue_id = p_queue AND d.group_id = ANY (v_groups) AND d.state >= 3 LIMIT 1000)
        LIMIT 1000
    ), gone AS (
        DELETE FROM delivery d USING batch s WHERE d.key = s.key AND d.group_id = s.id
        RETURNING d.key, d.group_id, d.state, CASE WHEN d.cancelled THEN 'cancelled' ELSE 'expired' END AS outcome
    ), counted AS (
        SELECT g.group_id, g.state, g.outcome, count(*) AS n FROM gone g GROUP BY g.group_id, g.state, g.outcome
    )
    SELECT
        coalesce((SELECT array_agg(g.key) FROM gone g), '{}'),
        coalesce((SELECT array_agg(g.outcome) FROM gone g), '{}'),
        coalesce(
            array_agg(ROW(c.group_id, state_name(c.state), -c.n)::tally)
            || array_agg(ROW(c.group_id, c.outcome, c.n)::tally),
            '{}'
        )
    INTO v_keys, v_outcomes, v_tallies FROM counted c;
    PERFORM end_jobs(p_queue, v_keys, v_outcomes);
    PERFORM note_counts(p_queue, p_slot, v_tallies);
    IF cardinality(v_keys) >= 1000 THEN
        RETURN true;
    END IF;
    PERFORM forget_group(p_queue, g.id, p_slot) FROM unnest(v_groups) g(id);
    RETURN false;
END $$;
