-- What the registry's fence says, or NULL.
SELECT successor
FROM registry;
