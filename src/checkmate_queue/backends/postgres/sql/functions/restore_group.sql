-- Store a group with its lifetime counts.
CREATE OR REPLACE FUNCTION restore_group(
    p_queue integer, p_slot integer, p_name text, p_ephemeral boolean, p_max_stalls integer, p_registered_at bigint,
    p_unattended_ms bigint, p_warned_at bigint, p_kinds text[], p_counts bigint[]
) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_group integer;
BEGIN
    INSERT INTO consumer_group AS g (
        queue_id, name, ephemeral, max_stalls, registered_at, unattended_ms, warned_at
    )
    VALUES (p_queue, p_name, p_ephemeral, p_max_stalls, p_registered_at, p_unattended_ms, p_warned_at)
    RETURNING g.id INTO v_group;
    PERFORM note_counts(p_queue, p_slot, ARRAY(
        SELECT ROW(v_group, u.kind, u.n)::tally FROM unnest(p_kinds, p_counts) u(kind, n)
    ));
END $$;
