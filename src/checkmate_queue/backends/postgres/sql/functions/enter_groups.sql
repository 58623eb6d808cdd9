-- Register the groups of a join, and make the epoch a member of each; returns the durable ones among them,
-- and the new ones that start from the earliest.
CREATE OR REPLACE FUNCTION enter_groups(
    p_queue integer, p_now bigint, p_epoch bigint, p_expires bigint,
    p_names text[], p_ephemeral boolean[], p_earliest boolean[], p_max_stalls integer[],
    OUT o_durable integer[], OUT o_late integer[]
) LANGUAGE plpgsql AS $$
DECLARE
    v record;
    v_group integer;
BEGIN
    o_durable := '{}';
    o_late := '{}';
    FOR v IN
        SELECT * FROM unnest(p_names, p_ephemeral, p_earliest, p_max_stalls)
        WITH ORDINALITY u(name, ephemeral, earliest, max_stalls, ord) ORDER BY u.ord
    LOOP
        UPDATE consumer_group g
        SET ephemeral = v.ephemeral, max_stalls = v.max_stalls, unattended_ms = 0, warned_at = NULL
        WHERE g.queue_id = p_queue AND g.name = v.name AND NOT g.dropped RETURNING g.id INTO v_group;
        IF NOT FOUND THEN
            INSERT INTO consumer_group AS g (queue_id, name, ephemeral, max_stalls, registered_at)
            VALUES (p_queue, v.name, v.ephemeral, v.max_stalls, p_now) RETURNING g.id INTO v_group;
            IF v.earliest THEN
                o_late := o_late || v_group;
            END IF;
        END IF;
        IF NOT v.ephemeral THEN
            o_durable := o_durable || v_group;
        END IF;
        INSERT INTO member (epoch, group_id, expires_at) VALUES (p_epoch, v_group, p_expires)
        ON CONFLICT (epoch, group_id) DO NOTHING;
    END LOOP;
END $$;
