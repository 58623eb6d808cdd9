-- See Ingestion.add. Parallel arrays, one entry a job; p_units numbers the unit of each, from 1, ascending.
--
-- o_created: per job, NULL where its unit was refused. p_limit: max_queue_size or NULL. o_status: ok; again (a
-- batch of what goes first was taken in or promoted); more (what was stored as due has yet to be promoted: call
-- catch_up). A crowded queue is promoted first, since it may hold jobs of earlier calls that were stored so.
CREATE OR REPLACE FUNCTION add(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint, p_limit bigint, p_units integer[],
    p_ids text[], p_data bytea[], p_metadata bytea[], p_priorities integer[], p_delays bigint[],
    p_expiries bigint[], p_drops boolean[], p_tokens text[],
    OUT o_status text, OUT o_created boolean[]
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_crowded boolean;
    v_in record;
    v_stored record;
    v_first bigint;
BEGIN
    v := enter(p_queue, p_now, false);
    o_status := 'ok';
    v_crowded := is_crowded(v.o_queue);
    IF v_crowded THEN
        v_in := promote(v.o_queue, v.o_now, p_unclaimed_ms);
    ELSE
        v_in := take_in(v.o_queue, v.o_now, p_unclaimed_ms);
    END IF;
    IF v_in.o_more OR (v_crowded OR p_limit IS NOT NULL) AND cardinality(v_in.o_tallies) > 0 THEN
        PERFORM end_jobs(v.o_queue, v_in.o_keys, v_in.o_outcomes);
        PERFORM note_counts(v.o_queue, p_slot, v_in.o_tallies);
        o_status := 'again';
        RETURN;
    END IF;
    v_stored := add_units(
        v.o_queue, v.o_now, p_unclaimed_ms, p_limit, p_units,
        p_ids, p_data, p_metadata, p_priorities, p_delays, p_expiries, p_drops, p_tokens, NULL
    );
    o_created := v_stored.o_created;
    PERFORM end_jobs(v.o_queue, v_in.o_keys || v_stored.o_keys, v_in.o_outcomes || v_stored.o_outcomes);
    PERFORM note_counts(v.o_queue, p_slot, v_in.o_tallies || v_stored.o_tallies);
    SELECT v.o_now + min(u.delay) INTO v_first FROM unnest(p_delays) u(delay) WHERE u.delay > 0;
    IF v_first IS NOT NULL AND NOT EXISTS (
        SELECT FROM delivery d WHERE d.queue_id = v.o_queue AND d.state >= 3 AND d.at < v_first
    ) THEN
        PERFORM wake(v.o_queue);
    END IF;
    IF v_crowded AND EXISTS (
        SELECT FROM delivery d WHERE d.queue_id = v.o_queue AND d.state >= 3 AND d.at <= v.o_now
    ) THEN
        o_status := 'more';
    END IF;
END $$;
