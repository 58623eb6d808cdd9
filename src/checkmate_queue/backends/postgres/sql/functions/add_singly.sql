-- Store units one by one: where a job may end at once, so that its id is free for the next unit, and under a limit,
-- where those are refused that would make the queue too full (J8). Then one caller at a time, or two might take
-- the same room.
CREATE OR REPLACE FUNCTION add_singly(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint, p_groups integer[], p_limit bigint, p_units integer[],
    p_ids text[], p_data bytea[], p_metadata bytea[], p_priorities integer[], p_delays bigint[],
    p_expiries bigint[], p_drops boolean[], p_tokens text[], p_enqueued bigint[],
    OUT o_created boolean[], OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_size bigint := 0;
    v_most bigint := most_deliveries();
    v_new bigint;
    v_unit record;
    v_stored record;
BEGIN
    IF p_limit IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock('job'::regclass::oid::integer, p_queue);
        v_size := queue_size(p_queue);
    END IF;
    o_created := '{}';
    o_keys := '{}';
    o_outcomes := '{}';
    o_tallies := '{}';
    FOR v_unit IN
        SELECT min(u.ord)::integer AS first, max(u.ord)::integer AS last
        FROM unnest(p_units) WITH ORDINALITY u(unit, ord) GROUP BY u.unit ORDER BY u.unit
    LOOP
        v_new := count_new(p_queue, p_now, p_unclaimed_ms, p_ids[v_unit.first : v_unit.last]);
        IF v_new > 0 AND v_size + v_new > p_limit THEN
            o_created := o_created || array_fill(NULL::boolean, ARRAY[v_unit.last - v_unit.first + 1]);
            CONTINUE;
        END IF;
        v_stored := add_unit(
            p_queue, p_now, p_unclaimed_ms, p_groups,
            p_ids[v_unit.first : v_unit.last], p_data[v_unit.first : v_unit.last],
            p_metadata[v_unit.first : v_unit.last], p_priorities[v_unit.first : v_unit.last],
            p_delays[v_unit.first : v_unit.last], p_expiries[v_unit.first : v_unit.last],
            p_drops[v_unit.first : v_unit.last], p_tokens[v_unit.first : v_unit.last],
            p_enqueued[v_unit.first : v_unit.last], v_most
        );
        -- Once one is stored as due, so are those behind it: what is ready comes first.
        v_most := CASE
            WHEN (v_unit.last - v_unit.first + 1) * cardinality(p_groups) > v_most THEN -1
            ELSE v_most - (v_unit.last - v_unit.first + 1) * cardinality(p_groups)
        END;
        v_size := v_size + v_new - cardinality(v_stored.o_keys);
        o_created := o_created || v_stored.o_created;
        PERFORM end_jobs(p_queue, v_stored.o_keys, v_stored.o_outcomes);
        o_tallies := o_tallies || v_stored.o_tallies;
    END LOOP;
END $$;
