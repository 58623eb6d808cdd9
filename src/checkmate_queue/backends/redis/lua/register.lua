-- Enters a queue's name in the registry.
-- KEYS 1: the registry's set of queues   2: its successor   3: its reception   4: its generation
-- ARGV 1: queue
-- returns {'done', generation} or {'fenced', successor}
local call = redis.call

local successor = call('GET', KEYS[2])
if successor and (call('SISMEMBER', KEYS[1], ARGV[1]) == 0 or call('HEXISTS', KEYS[3], 'closed') == 1) then
  return {'fenced', successor}
end
call('SADD', KEYS[1], ARGV[1])
return {'done', tonumber(call('GET', KEYS[4]) or 0)}
