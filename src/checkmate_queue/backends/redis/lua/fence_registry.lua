-- Closes the registry: unknown queues are refused from now on (B3).
-- KEYS 1: the registry's successor   ARGV 1: successor
-- returns {'done'}
redis.call('SET', KEYS[1], ARGV[1])
return {'done'}
