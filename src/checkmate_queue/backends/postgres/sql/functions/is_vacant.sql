-- See Moving.is_vacant: no queue is known, or only what a move has begun to bring and never admitted.
CREATE OR REPLACE FUNCTION is_vacant() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN NOT EXISTS (SELECT FROM queue) OR EXISTS (
        SELECT FROM meta m WHERE m.key = 'receiving' AND NOT (m.value::jsonb ->> 'admitted')::boolean
    );
END $$;
