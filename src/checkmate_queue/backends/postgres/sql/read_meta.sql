-- What a storage says of itself; NULL where the schema has no table of ours.
-- $1: the schema. Returns: whether the schema exists, whether it holds anything, its format and functions.
SELECT
    to_regnamespace(quote_ident($1)) IS NOT NULL AS found,
    EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident($1))) AS used,
    to_regclass(quote_ident($1) || '.meta') IS NOT NULL AS ours,
    current_setting('server_encoding') AS encoding
