-- All queues.
SELECT name
FROM queue
ORDER BY name;
