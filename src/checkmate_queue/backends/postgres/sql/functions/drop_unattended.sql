-- Drop durable groups that were unattended for too long, and name those to warn of (G4); called with the
-- queue locked, after account_attendance.
CREATE OR REPLACE FUNCTION drop_unattended(
    p_queue integer, p_now bigint, p_retention_ms bigint,
    OUT o_dropped text[], OUT o_abandoned text[], OUT o_drop_at bigint[], OUT o_tallies tally[]
) LANGUAGE plpgsql AS $$
DECLARE
    v record;
    v_kept bigint;
BEGIN
    o_dropped := '{}';
    o_abandoned := '{}';
    o_drop_at := '{}';
    o_tallies := '{}';
    SELECT count(*) INTO v_kept FROM consumer_group g
    WHERE g.queue_id = p_queue AND NOT g.dropped AND NOT g.ephemeral;
    FOR v IN
        SELECT u.group_id, u.total, u.warned_at, g.name
        FROM unattended(p_queue, p_now) u JOIN consumer_group g ON g.id = u.group_id
        WHERE NOT u.attended ORDER BY u.total DESC, g.id
    LOOP
        EXIT WHEN v_kept = 1;
        IF v.total >= p_retention_ms THEN
            o_tallies := o_tallies || mark_dropped(ARRAY[v.group_id]);
            o_dropped := o_dropped || v.name;
            v_kept := v_kept - 1;
        ELSIF v.total >= 86400000 AND coalesce(v.warned_at <= p_now - 86400000, true) THEN
            UPDATE consumer_group g SET warned_at = p_now WHERE g.id = v.group_id;
            o_abandoned := o_abandoned || v.name;
            o_drop_at := o_drop_at || p_now + p_retention_ms - v.total;
        END IF;
    END LOOP;
END $$;
