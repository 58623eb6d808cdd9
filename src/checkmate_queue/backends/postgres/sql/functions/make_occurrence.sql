-- Make one job of a schedule, for the live groups that may have it (R5, R6); none where that leaves none. One that
-- goes to all of them is stored as due where it would become more than p_most deliveries.
CREATE OR REPLACE FUNCTION make_occurrence(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint, p_schedule schedule, p_occurrence text,
    p_most bigint,
    OUT o_created boolean, OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_live integer[] := live_groups(p_queue, p_now);
    v_groups integer[] := v_live;
    v_busy integer[] := '{}';
    v_most bigint;
    v_stored record;
BEGIN
    o_created := false;
    o_keys := '{}';
    o_outcomes := '{}';
    o_tallies := '{}';
    IF p_schedule.misfire <> 'all' OR NOT p_schedule.overlap THEN
        v_busy := ARRAY(
            SELECT DISTINCT d.group_id FROM job j JOIN delivery d ON d.key = j.key
            WHERE j.queue_id = p_queue AND j.schedule = p_schedule.id
              AND (NOT d.started OR NOT p_schedule.overlap)
              AND NOT (d.state = 2 AND d.at <= p_now - p_unclaimed_ms)
        );
        v_groups := ARRAY(SELECT g.id FROM unnest(v_live) g(id) WHERE g.id <> ALL (v_busy));
    ELSE
        v_most := p_most;
    END IF;
    IF cardinality(v_groups) = 0 AND (cardinality(v_live) > 0 OR 0 = ANY (v_busy)) THEN
        RETURN;
    END IF;
    v_stored := store_jobs(
        p_queue, p_now, v_groups, p_schedule.id,
        ARRAY[p_occurrence], ARRAY[p_schedule.data], ARRAY[''::bytea], ARRAY[p_schedule.priority],
        ARRAY[0::bigint], ARRAY[NULL::bigint], ARRAY[p_schedule.drop_unclaimed], ARRAY[''], NULL, v_most
    );
    o_created := v_stored.o_created[1];
    o_keys := v_stored.o_keys;
    o_outcomes := v_stored.o_outcomes;
    o_tallies := v_stored.o_tallies;
END $$;
