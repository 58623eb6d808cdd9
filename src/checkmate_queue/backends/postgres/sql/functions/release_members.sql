-- End an epoch's membership in a group, or in all (NULL); its counts are handed over as tallies.
CREATE OR REPLACE FUNCTION release_members(p_epoch bigint, p_group integer) RETURNS tally[]
LANGUAGE plpgsql AS $$
DECLARE
    v_tallies tally[];
BEGIN
    WITH gone AS (
        DELETE FROM member m WHERE m.epoch = p_epoch AND (p_group IS NULL OR m.group_id = p_group) RETURNING m.*
    )
    SELECT coalesce(array_agg(ROW(g.group_id, k.kind, k.n)::tally), '{}') INTO v_tallies
    FROM gone g CROSS JOIN LATERAL (VALUES
        ('ready', g.ready), ('delayed', g.delayed), ('processing', g.processing), ('completed', g.completed),
        ('failed', g.failed), ('expired', g.expired), ('cancelled', g.cancelled)
    ) k(kind, n) WHERE k.n <> 0;
    RETURN v_tallies;
END $$;
