-- Store units, all at once where none can be refused and none can end at once; see add.sql and store_jobs.sql. What
-- would become more deliveries than one step may make is stored as due.
CREATE OR REPLACE FUNCTION add_units(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint, p_limit bigint, p_units integer[],
    p_ids text[], p_data bytea[], p_metadata bytea[], p_priorities integer[], p_delays bigint[],
    p_expiries bigint[], p_drops boolean[], p_tokens text[], p_enqueued bigint[],
    OUT o_created boolean[], OUT o_keys bigint[], OUT o_outcomes text[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_groups integer[] := live_groups(p_queue, p_now);
    v_stored record;
BEGIN
    IF p_limit IS NULL AND (cardinality(v_groups) > 0 OR true <> ALL (p_drops)) THEN
        v_stored := add_unit(
            p_queue, p_now, p_unclaimed_ms, v_groups,
            p_ids, p_data, p_metadata, p_priorities, p_delays, p_expiries, p_drops, p_tokens, p_enqueued, most_deliveries()
        );
    ELSE
        v_stored := add_singly(
            p_queue, p_now, p_unclaimed_ms, v_groups, p_limit, p_units,
            p_ids, p_data, p_metadata, p_priorities, p_delays, p_expiries, p_drops, p_tokens, p_enqueued
        );
    END IF;
    o_created := v_stored.o_created;
    o_keys := v_stored.o_keys;
    o_outcomes := v_stored.o_outcomes;
    o_tallies := v_stored.o_tallies;
END $$;
