-- Write something that changes nothing.
UPDATE registry
SET successor = successor;
