-- Remove everything but the settings, as long as the store is still closed with this text: for the move of this
-- token, or NULL for none. Locks the queues first, and so waits for nobody who waits for it.
CREATE OR REPLACE FUNCTION empty(p_successor text, p_token text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    LOCK TABLE queue IN ACCESS EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM meta m WHERE m.key = 'fence' AND m.value = p_successor) OR p_token IS DISTINCT FROM (
        SELECT m.value::jsonb ->> 'token' FROM meta m WHERE m.key = 'receiving'
    ) THEN
        RETURN;
    END IF;
    TRUNCATE
        queue, contact, consumer_group, epoch, member, counter, job, share, delivery, owed, failed, schedule, outcome,
        sleeper;
    DELETE FROM meta m WHERE m.key LIKE 'receiving %';
END $$;
