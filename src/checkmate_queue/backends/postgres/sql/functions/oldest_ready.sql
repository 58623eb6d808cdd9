-- Since when the delivery of a group is ready that has been so longest; NULL where none is. The heads of each
-- priority tell: those that wait in their own order have the oldest first. Behind a thousand priorities it costs less
-- to look at all that is left.
CREATE OR REPLACE FUNCTION oldest_ready(p_group integer) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_below bigint := 1::bigint << 32;
    v_priority integer;
    v_oldest bigint;
BEGIN
    FOR i IN 1 .. 1000 LOOP
        SELECT d.priority INTO v_priority FROM delivery d
        WHERE d.group_id = p_group AND d.state = 0 AND d.priority < v_below
        ORDER BY d.priority DESC, d.place LIMIT 1;
        IF NOT FOUND THEN
            RETURN v_oldest;
        END IF;
        v_oldest := least(
            v_oldest,
            (SELECT min(f.at) FROM (
                SELECT d.at FROM delivery d
                WHERE d.group_id = p_group AND d.state = 0 AND d.priority = v_priority AND d.place < 0
            ) f),
            (SELECT d.at FROM delivery d
             WHERE d.group_id = p_group AND d.state = 0 AND d.priority = v_priority AND d.place >= 0
             ORDER BY d.priority DESC, d.place LIMIT 1)
        );
        v_below := v_priority;
    END LOOP;
    RETURN least(v_oldest, (
        SELECT min(d.at) FROM delivery d WHERE d.group_id = p_group AND d.state = 0 AND d.priority < v_below
    ));
END $$;
