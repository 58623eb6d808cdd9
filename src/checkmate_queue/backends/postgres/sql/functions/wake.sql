-- Tell those who sleep at a queue that there is something to do, once this transaction has committed.
--
-- Notifying makes commits wait for each other, so it is done only where somebody has dozed off lately.
CREATE OR REPLACE FUNCTION wake(p_queue integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM sleeper s
        WHERE s.queue_id = p_queue AND s.at > (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 2000
    ) THEN
        PERFORM pg_notify(channel(), q.name) FROM queue q WHERE q.id = p_queue;
    END IF;
END $$;
