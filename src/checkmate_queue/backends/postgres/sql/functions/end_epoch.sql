-- End an epoch that is in no group any more; one that holds lapsed claims is left for a tick to reap.
CREATE OR REPLACE FUNCTION end_epoch(p_epoch bigint, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM member m WHERE m.epoch = p_epoch) THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM delivery d WHERE d.state = 1 AND d.epoch = p_epoch) THEN
        UPDATE epoch e SET expires_at = p_now WHERE e.number = p_epoch;
    ELSE
        DELETE FROM epoch e WHERE e.number = p_epoch;
    END IF;
END $$;
