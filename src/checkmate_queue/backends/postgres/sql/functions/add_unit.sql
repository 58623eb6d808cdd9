-- Store the jobs of one unit, or of several where none can be refused.
--
-- o_answers: for each job 1 created, 0 duplicate. A living job that has expired unclaimed gives way (J9).
CREATE OR REPLACE FUNCTION add_unit(
    p_queue integer, p_now bigint, p_groups integer[],
    p_ids text[], p_data bytea[], p_metadata bytea[], p_priorities integer[], p_delays bigint[],
    p_expiries bigint[], p_drops boolean[], p_tokens text[],
    OUT o_created boolean[], OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_taken integer[];
    v_late record;
    v_more record;
BEGIN
    SELECT s.o_created, s.o_keys, s.o_outcomes, s.o_tallies INTO o_created, o_keys, o_outcomes, o_tallies
    FROM store_jobs(
        p_queue, p_now, p_groups, NULL,
        p_ids, p_data, p_metadata, p_priorities, p_delays, p_expiries, p_drops, p_tokens
    ) s;
    v_taken := array_positions(o_created, false);
    IF cardinality(v_taken) = 0 THEN
        RETURN;
    END IF;
    v_late := end_late(p_queue, p_now, ARRAY(SELECT p_ids[i] FROM unnest(v_taken) i));
    IF v_late.o_free THEN
        o_tallies := o_tallies || v_late.o_tallies;
        v_more := store_jobs(
            p_queue, p_now, p_groups, NULL,
            ARRAY(SELECT p_ids[i] FROM unnest(v_taken) i), ARRAY(SELECT p_data[i] FROM unnest(v_taken) i),
            ARRAY(SELECT p_metadata[i] FROM unnest(v_taken) i), ARRAY(SELECT p_priorities[i] FROM unnest(v_taken) i),
            ARRAY(SELECT p_delays[i] FROM unnest(v_taken) i), ARRAY(SELECT p_expiries[i] FROM unnest(v_taken) i),
            ARRAY(SELECT p_drops[i] FROM unnest(v_taken) i), ARRAY(SELECT p_tokens[i] FROM unnest(v_taken) i)
        );
        o_keys := o_keys || v_more.o_keys;
        o_outcomes := o_outcomes || v_more.o_outcomes;
        o_tallies := o_tallies || v_more.o_tallies;
        FOR i IN 1 .. cardinality(v_taken) LOOP
            o_created[v_taken[i]] := v_more.o_created[i];
        END LOOP;
    END IF;
    o_created := ARRAY(
        SELECT u.created OR (u.token <> '' AND EXISTS (
            SELECT FROM job j
            WHERE j.queue_id = p_queue AND j.id = u.id AND j.schedule IS NULL AND j.token = u.token
        ))
        FROM unnest(o_created, p_ids, p_tokens) WITH ORDINALITY u(created, id, token, ord) ORDER BY u.ord
    );
END $$;
