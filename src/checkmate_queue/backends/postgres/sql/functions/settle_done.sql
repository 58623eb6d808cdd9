-- Settle claims of one exchange as done: the common case, in one statement.
--
-- The zeros keep the planner to the primary key: in the index of claims the entries of what was settled
-- before pile up for as long as somebody holds an old snapshot.
CREATE OR REPLACE FUNCTION settle_done(
    p_epoch bigint, p_group integer, p_done bigint[],
    OUT o_refused bigint[], OUT o_keys bigint[], OUT o_outcomes text[], OUT o_cancelled bigint
) LANGUAGE plpgsql AS $$
BEGIN
    WITH gone AS (
        DELETE FROM delivery d
        WHERE d.key = ANY (p_done) AND d.group_id = p_group
          AND d.state + 0 = 1 AND d.epoch + 0 = p_epoch AND NOT d.lapsed
        RETURNING d.key, d.cancelled
    )
    SELECT
        coalesce(array_agg(g.key), '{}'),
        coalesce(array_agg(CASE WHEN g.cancelled THEN 'cancelled' ELSE 'completed' END), '{}'),
        count(*) FILTER (WHERE g.cancelled)
    INTO o_keys, o_outcomes, o_cancelled FROM gone g;
    o_refused := '{}';
    IF cardinality(o_keys) < cardinality(p_done) THEN
        o_refused := ARRAY(
            SELECT u.key FROM unnest(p_done) WITH ORDINALITY u(key, ord)
            WHERE u.key <> ALL (o_keys) ORDER BY u.ord
        );
    END IF;
END $$;
