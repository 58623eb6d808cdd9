-- End those of these unclaimed jobs at once that were added with unclaimed="drop" (G2).
CREATE OR REPLACE FUNCTION drop_unclaimed(
    p_queue integer, p_homeless bigint[],
    OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_n bigint;
BEGIN
    o_keys := '{}';
    o_outcomes := '{}';
    o_tallies := '{}';
    IF cardinality(p_homeless) = 0 THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM delivery d USING job j
        WHERE d.key = ANY (p_homeless) AND d.group_id = 0
          AND j.queue_id = p_queue AND j.key = d.key AND j.drop_unclaimed
        RETURNING d.key
    )
    SELECT coalesce(array_agg(g.key), '{}'), count(*) INTO o_keys, v_n FROM gone g;
    o_outcomes := array_fill('expired'::text, ARRAY[v_n::integer]);
    o_tallies := ARRAY[ROW(0, 'unclaimed', -v_n)::tally, ROW(0, 'expired', v_n)::tally];
END $$;
