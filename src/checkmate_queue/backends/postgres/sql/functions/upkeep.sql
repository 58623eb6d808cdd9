-- The part of a tick that changes who there is; called with the queue locked.
CREATE OR REPLACE FUNCTION upkeep(
    p_queue integer, p_now bigint, p_slot integer, p_epoch bigint, p_group_ms bigint,
    OUT o_more boolean, OUT o_dropped text[], OUT o_abandoned text[], OUT o_drop_at bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    v_reaped record;
    v_dropped record;
BEGIN
    PERFORM account_attendance(p_queue, p_now);
    v_reaped := reap(p_queue, p_now, p_epoch);
    PERFORM note_counts(p_queue, p_slot, v_reaped.o_tallies);
    v_dropped := drop_unattended(p_queue, p_now, p_group_ms);
    PERFORM note_counts(p_queue, p_slot, v_dropped.o_tallies);
    o_abandoned := v_dropped.o_abandoned;
    o_drop_at := v_dropped.o_drop_at;
    o_dropped := v_reaped.o_dropped || v_dropped.o_dropped;
    o_more := purge_groups(p_queue, p_slot);
    PERFORM note_counts(p_queue, p_slot, pay_owed(p_queue, p_now));
    o_more := o_more OR EXISTS (SELECT FROM owed o WHERE o.queue_id = p_queue);
END $$;
