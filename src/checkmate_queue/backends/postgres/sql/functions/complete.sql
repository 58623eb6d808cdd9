-- Do a batch of what verbs leave to be done in batches, so that an export finds everything where it belongs: take in
-- what transactions have committed, fill groups that start from the past, clear dropped ones. Returns whether there is
-- more. The queue is fenced, and this is no contact. Raises CQ001 (unknown).
CREATE OR REPLACE FUNCTION complete(p_queue text, p_now bigint, p_slot integer, p_unclaimed_ms bigint)
RETURNS boolean
LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_in record;
BEGIN
    SELECT q.id, c.at, pg_advisory_xact_lock('queue'::regclass::oid::integer, q.id) INTO v
    FROM queue q JOIN contact c ON c.queue_id = q.id WHERE q.name = p_queue;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown queue' USING ERRCODE = 'CQ001';
    END IF;
    IF EXISTS (SELECT FROM inbox i WHERE i.queue_id = v.id) THEN
        v_in := take_in(
            v.id, coalesce(p_now, (extract(epoch FROM clock_timestamp()) * 1000)::bigint), p_unclaimed_ms
        );
        PERFORM end_jobs(v.id, v_in.o_keys, v_in.o_outcomes);
        PERFORM note_counts(v.id, p_slot, v_in.o_tallies);
        RETURN true;
    END IF;
    IF EXISTS (SELECT FROM owed o WHERE o.queue_id = v.id) THEN
        PERFORM note_counts(v.id, p_slot, pay_owed(v.id, v.at));
        RETURN true;
    END IF;
    RETURN purge_groups(v.id, p_slot);
END $$;
