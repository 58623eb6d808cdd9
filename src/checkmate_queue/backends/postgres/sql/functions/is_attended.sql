-- Whether a group has a member whose epoch lives.
CREATE OR REPLACE FUNCTION is_attended(p_group integer, p_now bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM member m JOIN lease l ON l.number = m.epoch
        WHERE m.group_id = p_group AND l.expires_at > p_now
    );
END $$;
