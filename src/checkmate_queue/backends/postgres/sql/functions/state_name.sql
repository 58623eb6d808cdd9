-- The counter of a delivery's state.
CREATE OR REPLACE FUNCTION state_name(p_state smallint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_state
        WHEN 0 THEN 'ready' WHEN 1 THEN 'processing' WHEN 2 THEN 'unclaimed' ELSE 'delayed'
    END
$$;
