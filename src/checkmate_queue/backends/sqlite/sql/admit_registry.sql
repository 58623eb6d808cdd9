-- New names are accepted.
UPDATE registry
SET successor = NULL;
