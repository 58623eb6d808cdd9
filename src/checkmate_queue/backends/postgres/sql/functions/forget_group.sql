-- Remove a dropped group that has no deliveries any more; its lifetime counts stay with the queue (L3).
CREATE OR REPLACE FUNCTION forget_group(p_queue integer, p_group integer, p_slot integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_tallies tally[];
BEGIN
    WITH gone AS (
        DELETE FROM counter c WHERE c.queue_id = p_queue AND c.group_id = p_group RETURNING c.*
    )
    SELECT coalesce(array_agg(ROW(0, k.kind, k.n)::tally), '{}') INTO v_tallies
    FROM gone g CROSS JOIN LATERAL (VALUES
        ('completed', g.completed), ('failed', g.failed), ('expired', g.expired), ('cancelled', g.cancelled)
    ) k(kind, n) WHERE k.n <> 0;
    DELETE FROM consumer_group g WHERE g.id = p_group;
    PERFORM note_counts(p_queue, p_slot, v_tallies);
END $$;
