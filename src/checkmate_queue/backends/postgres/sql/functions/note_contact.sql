-- Note that a process reached the queue; leases don't run over a gap before (G12).
--
-- Where no lease could have suffered nobody waits: whoever holds the row notes a contact as good.
CREATE OR REPLACE FUNCTION note_contact(p_queue integer, p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_seen bigint;
    v_gap bigint;
    v_moved boolean := false;
    v_lease record;
    v_by bigint;
BEGIN
    SELECT p_now - c.at INTO v_gap FROM contact c WHERE c.queue_id = p_queue;
    IF v_gap >= 0 AND NOT EXISTS (
        SELECT FROM epoch e WHERE e.queue_id = p_queue AND v_gap * 2 > e.lease_ms
    ) THEN
        UPDATE contact c SET at = p_now
        WHERE c.queue_id = (SELECT k.queue_id FROM contact k WHERE k.queue_id = p_queue FOR UPDATE SKIP LOCKED);
        RETURN;
    END IF;
    SELECT c.at INTO v_seen FROM contact c WHERE c.queue_id = p_queue FOR UPDATE;
    v_gap := p_now - v_seen;
    FOR v_lease IN SELECT l.number, l.lease_ms, l.expires_at FROM lease l WHERE l.queue_id = p_queue ORDER BY l.number
    LOOP
        CONTINUE WHEN v_gap * 2 <= v_lease.lease_ms AND v_gap >= -1000;
        IF NOT v_moved THEN
            PERFORM account_attendance(p_queue, v_seen);  -- what went before the gap counts
            v_moved := true;
        END IF;
        v_by := CASE WHEN v_lease.expires_at > v_seen THEN v_gap ELSE 0 END;
        UPDATE epoch e SET expires_at = least(e.expires_at + v_by, CASE WHEN v_by = 0 THEN p_now END)
        WHERE e.number = v_lease.number;
        UPDATE member m SET expires_at = least(m.expires_at + v_by, CASE WHEN v_by = 0 THEN p_now END)
        WHERE m.epoch = v_lease.number;
    END LOOP;
    UPDATE contact c SET at = p_now, attended_at = CASE WHEN v_moved THEN p_now ELSE c.attended_at END
    WHERE c.queue_id = p_queue;
END $$;
