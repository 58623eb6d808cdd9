-- Enters a queue's name in the registry.
-- KEYS 1: the registry's set of queues   2: the registry's successor   3: the registry's generation
-- ARGV 1: queue
-- returns {'done', generation} or {'fenced', successor}
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then
  local successor = redis.call('GET', KEYS[2])
  if successor then
    return {'fenced', successor}
  end
  redis.call('SADD', KEYS[1], ARGV[1])
end
return {'done', tonumber(redis.call('GET', KEYS[3]) or 0)}
