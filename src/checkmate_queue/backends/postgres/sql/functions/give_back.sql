-- Give back the claims of an epoch in a group, to the front in the order of the claims; cancelled ones end.
-- Lapsed claims that it holds for settlement are not its own.
CREATE OR REPLACE FUNCTION give_back(p_queue integer, p_epoch bigint, p_group integer) RETURNS tally[]
LANGUAGE plpgsql AS $$
DECLARE
    v_tallies tally[] := end_cancelled(p_queue, p_epoch, p_group);
    v_given bigint;
BEGIN
    UPDATE delivery d SET
        state = 0, place = d.place - (1::bigint << 52), epoch = NULL, exchange = NULL
    WHERE d.state = 1 AND d.epoch = p_epoch AND d.group_id = p_group AND NOT d.lapsed;
    GET DIAGNOSTICS v_given = ROW_COUNT;
    RETURN v_tallies
        || ROW(p_group, 'processing', -v_given)::tally || ROW(p_group, 'ready', v_given)::tally;
END $$;
