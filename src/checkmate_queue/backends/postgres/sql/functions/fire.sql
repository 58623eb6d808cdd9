-- See Scheduling.fire. Parallel arrays, one entry a firing; p_due and p_occurrences hold the due times and
-- job ids of all firings, p_firings the position of the firing, from 1, that each belongs to. o_fired holds fewer
-- answers than there are firings where these have made as many deliveries as one step may: call again for the rest.
CREATE OR REPLACE FUNCTION fire(
    p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint,
    p_ids text[], p_revisions bigint[], p_expected bigint[], p_next bigint[],
    p_firings integer[], p_due bigint[], p_occurrences text[],
    OUT o_fired boolean[]
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_due record;
    v_spec schedule;
    v_made record;
    v_keys bigint[] := '{}';
    v_outcomes text[] := '{}';
    v_tallies tally[] := '{}';
    v_most bigint := most_deliveries();
BEGIN
    v := enter(p_queue, p_now, false);
    o_fired := '{}';
    PERFORM FROM schedule s WHERE s.queue_id = v.o_queue AND s.id = ANY (p_ids) ORDER BY s.id FOR UPDATE;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        EXIT WHEN v_most <= 0;
        UPDATE schedule s SET next_at = p_next[i]
        WHERE s.queue_id = v.o_queue AND s.id = p_ids[i]
          AND s.revision = p_revisions[i] AND s.next_at = p_expected[i]
        RETURNING s.* INTO v_spec;
        o_fired := o_fired || FOUND;
        CONTINUE WHEN NOT FOUND;
        FOR v_due IN
            SELECT u.due, u.occurrence FROM unnest(p_firings, p_due, p_occurrences)
            WITH ORDINALITY u(firing, due, occurrence, ord) WHERE u.firing = i ORDER BY u.ord
        LOOP
            v_made := make_occurrence(v.o_queue, v.o_now, p_unclaimed_ms, v_spec, v_due.occurrence, v_most);
            v_keys := v_keys || v_made.o_keys;
            v_outcomes := v_outcomes || v_made.o_outcomes;
            v_tallies := v_tallies || v_made.o_tallies;
            v_most := v_most - (
                SELECT coalesce(sum(t.n), 0) FROM unnest(v_made.o_tallies) t WHERE t.kind IN ('ready', 'delayed')
            );
            IF v_made.o_created THEN
                UPDATE schedule s SET last_run_at = v_due.due WHERE s.queue_id = v.o_queue AND s.id = p_ids[i];
            END IF;
        END LOOP;
    END LOOP;
    PERFORM end_jobs(v.o_queue, v_keys, v_outcomes);
    PERFORM note_counts(v.o_queue, p_slot, v_tallies);
END $$;
