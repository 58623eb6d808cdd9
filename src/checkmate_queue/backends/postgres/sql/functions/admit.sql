-- See Moving.admit; false where the move is not this one.
CREATE OR REPLACE FUNCTION admit(p_token text, p_now bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_now bigint := coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
    v_noted jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock('queue'::regclass::oid::integer, 0);
    SELECT m.value::jsonb INTO v_noted FROM meta m WHERE m.key = 'receiving';
    IF v_noted ->> 'token' IS DISTINCT FROM p_token THEN
        RETURN false;
    ELSIF (v_noted ->> 'admitted')::boolean THEN
        RETURN true;
    END IF;
    UPDATE epoch e SET expires_at = v_now + e.lease_ms WHERE e.expires_at > 0;
    UPDATE contact c SET at = v_now, attended_at = v_now;
    UPDATE queue q SET fence = NULL;
    DELETE FROM meta m WHERE m.key IN ('fence', 'fence before') OR m.key LIKE 'receiving %';
    UPDATE meta m SET value = jsonb_set(v_noted, '{admitted}', 'true')::text WHERE m.key = 'receiving';
    RETURN true;
END $$;
