-- Store the jobs of one unit, or of several where none can be refused.
--
-- o_created says for each job whether it is the caller's. A living job that has expired unclaimed, or
-- that only dropped groups have, gives way first (J9, G4), so that places follow the order given.
CREATE OR REPLACE FUNCTION add_unit(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint, p_groups integer[],
    p_ids text[], p_data bytea[], p_metadata bytea[], p_priorities integer[], p_delays bigint[],
    p_expiries bigint[], p_drops boolean[], p_tokens text[], p_enqueued bigint[], p_most bigint,
    OUT o_created boolean[], OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_late tally[] := '{}';
BEGIN
    IF has_late(p_queue, p_now, p_unclaimed_ms)
        OR EXISTS (SELECT FROM consumer_group g WHERE g.queue_id = p_queue AND g.dropped)
    THEN
        v_late := end_late(p_queue, p_now, p_unclaimed_ms, ARRAY(
            SELECT j.key FROM job j WHERE j.queue_id = p_queue AND j.id = ANY (p_ids) AND j.schedule IS NULL
        ));
    END IF;
    SELECT s.o_created, s.o_keys, s.o_outcomes, v_late || s.o_tallies
    INTO o_created, o_keys, o_outcomes, o_tallies
    FROM store_jobs(
        p_queue, p_now, p_groups, NULL,
        p_ids, p_data, p_metadata, p_priorities, p_delays, p_expiries, p_drops, p_tokens, p_enqueued,
        p_most
    ) s;
    IF false = ANY (o_created) THEN
        o_created := ARRAY(
            SELECT u.created OR (u.token <> '' AND EXISTS (
                SELECT FROM job j
                WHERE j.queue_id = p_queue AND j.id = u.id AND j.schedule IS NULL AND j.token = u.token
            ))
            FROM unnest(o_created, p_ids, p_tokens) WITH ORDINALITY u(created, id, token, ord) ORDER BY u.ord
        );
    END IF;
END $$;
