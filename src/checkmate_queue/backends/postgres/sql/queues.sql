-- All registered names, sorted.
SELECT name FROM /* schema. */queue ORDER BY name
