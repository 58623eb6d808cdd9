-- Have an inbox for oneself; false where callers' transactions still hold it after that time.
CREATE OR REPLACE FUNCTION close_inbox(p_queue integer, p_wait_ms integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_before text := current_setting('lock_timeout');
BEGIN
    PERFORM set_config('lock_timeout', p_wait_ms::text, true);
    PERFORM pg_advisory_xact_lock('inbox'::regclass::oid::integer, p_queue);
    PERFORM set_config('lock_timeout', v_before, true);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END $$;
