-- A slot for a store's counters.
SELECT nextval('/* schema. */slot')
