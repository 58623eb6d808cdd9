-- Verbs read what others have committed while they waited for a lock. Raises CQ004 in a transaction that would
-- not see it; the store then begins one that does.
CREATE OR REPLACE FUNCTION demand_isolation() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the isolation of this transaction is not read committed' USING ERRCODE = 'CQ004';
    END IF;
END $$;
