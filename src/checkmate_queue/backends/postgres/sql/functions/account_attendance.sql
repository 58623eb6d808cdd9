-- Add up how long each durable group was without a live member while another group had one (G4).
--
-- Called with the queue locked, before memberships change: in between it can be told at any time.
CREATE OR REPLACE FUNCTION account_attendance(p_queue integer, p_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE consumer_group g SET unattended_ms = u.total FROM unattended(p_queue, p_now) u
    WHERE g.id = u.group_id AND u.total <> g.unattended_ms;
    UPDATE contact c SET attended_at = p_now WHERE c.queue_id = p_queue;
END $$;
