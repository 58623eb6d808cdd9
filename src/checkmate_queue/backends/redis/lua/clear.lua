-- Closes the registry, whose queues are to be emptied.
-- KEYS 1: the registry's successor   2: its reception   3: its generation   ARGV 1: successor
-- returns {'done', generation}
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return {'done', redis.call('INCR', KEYS[3])}
