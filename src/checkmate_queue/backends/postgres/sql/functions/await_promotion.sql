-- Wait until whoever promotes a queue has committed. The lock is given back at once, with the subtransaction, so
-- that those who waited do not wait for each other.
CREATE OR REPLACE FUNCTION await_promotion(p_queue integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared('delivery'::regclass::oid::integer, p_queue);
    RAISE EXCEPTION 'the wait is over' USING ERRCODE = 'CQ003';
EXCEPTION WHEN SQLSTATE 'CQ003' THEN
    NULL;
END $$;
