-- The numbers of the storage's format and of its functions.
SELECT
    (SELECT value FROM /* schema. */meta WHERE key = 'format') AS format,
    (SELECT value FROM /* schema. */meta WHERE key = 'functions') AS functions
