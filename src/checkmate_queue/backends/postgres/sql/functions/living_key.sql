-- The key of the living job of an id in one name space; NULL where there is none, or only what has expired or
-- belongs to dropped groups.
CREATE OR REPLACE FUNCTION living_key(
    p_queue integer, p_now bigint, p_unclaimed_ms bigint, p_id text, p_occurrence boolean
) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_key bigint;
BEGIN
    IF p_occurrence THEN
        SELECT j.key INTO v_key FROM job j
        WHERE j.queue_id = p_queue AND j.id = p_id AND j.schedule IS NOT NULL;
    ELSE
        SELECT j.key INTO v_key FROM job j WHERE j.queue_id = p_queue AND j.id = p_id AND j.schedule IS NULL;
    END IF;
    IF EXISTS (SELECT FROM open_deliveries(ARRAY[v_key], p_now, p_unclaimed_ms)) THEN
        RETURN v_key;
    END IF;
    RETURN NULL;
END $$;
