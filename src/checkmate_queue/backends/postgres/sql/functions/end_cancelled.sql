-- End the cancelled claims of an epoch: its own in one group, or all in all groups (NULL), those that lapsed and
-- wait for it to settle them included. Called with the queue locked.
CREATE OR REPLACE FUNCTION end_cancelled(p_queue integer, p_epoch bigint, p_group integer) RETURNS tally[]
LANGUAGE plpgsql AS $$
DECLARE
    v_keys bigint[];
    v_tallies tally[];
BEGIN
    WITH gone AS (
        DELETE FROM delivery d
        WHERE d.epoch = p_epoch AND d.cancelled AND d.state = 1
          AND (p_group IS NULL OR d.group_id = p_group AND NOT d.lapsed)
        RETURNING d.key, d.group_id
    ), counted AS (
        SELECT g.group_id, count(*) AS n FROM gone g GROUP BY g.group_id
    )
    SELECT
        coalesce((SELECT array_agg(g.key) FROM gone g), '{}'),
        coalesce(
            array_agg(ROW(c.group_id, 'processing', -c.n)::tally)
            || array_agg(ROW(c.group_id, 'cancelled', c.n)::tally),
            '{}'
        )
    INTO v_keys, v_tallies FROM counted c;
    PERFORM end_jobs(p_queue, v_keys, array_fill('cancelled'::text, ARRAY[cardinality(v_keys)]));
    RETURN v_tallies;
END $$;
