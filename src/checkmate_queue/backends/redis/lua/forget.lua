-- Takes a queue that is empty out of the registry.
-- KEYS 1: the registry's set of queues   2: its generation   ARGV 1: queue   2: generation
-- returns {'done'}, {'stale'} where a later generation has the registry
if redis.call('GET', KEYS[2]) ~= ARGV[2] then
  return {'stale'}
end
redis.call('SREM', KEYS[1], ARGV[1])
return {'done'}
