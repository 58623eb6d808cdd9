-- Drop groups that nobody consumes: their names are free at once, their deliveries are purged afterwards.
-- Returns the counts that their dead members held. Called with the queue locked.
CREATE OR REPLACE FUNCTION mark_dropped(p_groups integer[]) RETURNS tally[] LANGUAGE plpgsql AS $$
DECLARE
    v_tallies tally[];
BEGIN
    UPDATE consumer_group g SET dropped = true WHERE g.id = ANY (p_groups);
    SELECT coalesce(array_agg(t), '{}') INTO v_tallies
    FROM (SELECT m.epoch, m.group_id FROM member m WHERE m.group_id = ANY (p_groups)) m
    CROSS JOIN LATERAL unnest(release_members(m.epoch, m.group_id)) t;
    RETURN v_tallies;
END $$;
