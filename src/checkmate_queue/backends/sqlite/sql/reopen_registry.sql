-- Lift the fence of the registry if it says this. 1: successor.
UPDATE registry
SET successor = NULL
WHERE successor = ?1;
