-- See Repair.rename_group. o_status: ok; unknown; attended; taken (the new name).
CREATE OR REPLACE FUNCTION rename_group(
    p_queue text, p_now bigint, p_old text, p_new text, OUT o_status text
) LANGUAGE plpgsql SET search_path FROM CURRENT
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    v record;
    v_group integer;
BEGIN
    v := enter(p_queue, p_now, true);
    SELECT g.id INTO v_group FROM consumer_group g
    WHERE g.queue_id = v.o_queue AND g.name = p_old AND NOT g.dropped;
    IF NOT FOUND THEN
        o_status := 'unknown';
    ELSIF is_attended(v_group, v.o_now) THEN
        o_status := 'attended';
    ELSIF EXISTS (
        SELECT FROM consumer_group g WHERE g.queue_id = v.o_queue AND g.name = p_new AND NOT g.dropped
    ) THEN
        o_status := 'taken';
    ELSE
        UPDATE consumer_group g SET name = p_new WHERE g.id = v_group;
        UPDATE failed f SET group_name = p_new WHERE f.queue_id = v.o_queue AND f.group_name = p_old;
        o_status := 'ok';
    END IF;
END $$;
