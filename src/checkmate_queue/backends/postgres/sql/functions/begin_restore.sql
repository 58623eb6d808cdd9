-- Begin to store batch p_n of the move of this token, into a queue that is made closed where it is new.
--
-- o_status: ok; lost (the move is another one, or over); done (the batch is stored already); wrong (it is not the
-- next one either). o_number: the highest number that was drawn; o_runs: what `end_restore` noted last.
CREATE OR REPLACE FUNCTION begin_restore(
    p_token text, p_queue text, p_n bigint,
    OUT o_status text, OUT o_queue integer, OUT o_number bigint, OUT o_runs text, OUT o_batches bigint
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v_noted jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock('queue'::regclass::oid::integer, 0);
    SELECT m.value::jsonb INTO v_noted FROM meta m WHERE m.key = 'receiving';
    o_batches := v_noted ->> 'batches';
    o_status := CASE
        WHEN v_noted ->> 'token' IS DISTINCT FROM p_token OR (v_noted ->> 'admitted')::boolean THEN 'lost'
        WHEN p_n = o_batches THEN 'done'
        WHEN p_n <> o_batches + 1 THEN 'wrong'
        ELSE 'ok'
    END;
    IF o_status <> 'ok' THEN
        RETURN;
    END IF;
    INSERT INTO queue (name, fence) SELECT p_queue, m.value FROM meta m WHERE m.key = 'fence'
    ON CONFLICT (name) DO NOTHING;
    SELECT q.id INTO o_queue FROM queue q WHERE q.name = p_queue;
    INSERT INTO contact (queue_id, at, attended_at) VALUES (o_queue, 0, 0) ON CONFLICT (queue_id) DO NOTHING;
    SELECT m.value INTO o_runs FROM meta m WHERE m.key = 'receiving ' || o_queue;
    SELECT n.last_value INTO o_number FROM number n;
END $$;
