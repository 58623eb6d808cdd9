-- Whether a queue is paused. $1: its name.
SELECT coalesce((SELECT paused FROM /* schema. */queue WHERE name = $1), false)
